// Sends traces by OTLP over HTTP. Where to and with what headers, the environment says by OpenTelemetry's own variables:
// OTEL_EXPORTER_OTLP_ENDPOINT and those beside it, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES.

import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import {
  defaultResource,
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from "@opentelemetry/resources"
import { BatchSpanProcessor, type SpanExporter, TracerProvider } from "@opentelemetry/sdk-trace"
import { followSteps } from "./follow.ts"

const SERVICE = "backup-cloud"

/** Follows steps until it is disposed of, which waits until all is sent. @param onFailure called once, if anything was not */
export function sendTraces(onFailure: (why: string) => void): AsyncDisposable {
  const exporter = new OTLPTraceExporter()
  let told = false
  const tell = (error: unknown): void => {
    if (!told) onFailure(error instanceof Error ? error.message : String(error))
    told = true
  }
  const watched: SpanExporter = {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.error !== undefined) tell(result.error)
        done(result)
      })
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush(),
  }
  const resource = defaultResource()
    .merge(resourceFromAttributes({ "service.name": SERVICE }))
    .merge(detectResources({ detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector] }))
  const provider = new TracerProvider({ resource, spanProcessors: [new BatchSpanProcessor({ exporter: watched })] })
  const following = followSteps(provider.getTracer(SERVICE))
  return {
    async [Symbol.asyncDispose]() {
      following[Symbol.dispose]()
      await provider.shutdown().catch(tell)
    },
  }
}
