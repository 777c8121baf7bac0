import assert from "node:assert/strict"
import test from "node:test"
import { openGpgHome } from "@backup-cloud/openpgp"
import { generateKey } from "@backup-cloud/openpgp/keygen"
import { importedGpgSigner, jsSigner } from "@backup-cloud/openpgp/sign"
import { gpgVerifier, jsVerifier } from "@backup-cloud/openpgp/verify"
import { changedUncovered } from "../src/signature-form.ts"
import { bytesOf, signal } from "./archive.ts"

test("of a signature by gpg or OpenPGP.js, every flipped bit is noticed by the verifiers or here", async () => {
  await using home = await openGpgHome()
  const key = await generateKey({ userId: "docs", kind: "sign" })
  const signed = bytesOf("sums")
  const whole = jsVerifier()
  let onlyHere = 0
  for (const signer of [await jsSigner(key.secretKey), await importedGpgSigner(home, key.secretKey)]) {
    const signature = await signer.detached(signed, signal)
    assert.equal(changedUncovered(signature, signed), null)
    for (let i = 0; i < signature.length; i++)
      for (let bit = 0; bit < 8; bit++) {
        const changed = signature.with(i, (signature[i] ?? 0) ^ (1 << bit))
        const refused = await whole.detached(signed, changed, key.certificate, "x", signal).then(
          () => false,
          () => true,
        )
        if (refused) continue
        assert.notEqual(changedUncovered(changed, signed), null, `bit ${bit} of byte ${i}`)
        onlyHere++
      }
  }
  assert.ok(onlyHere > 0, "otherwise none of this is needed")
})

test("bits that gpg does not look at are noticed", async () => {
  await using home = await openGpgHome()
  const key = await generateKey({ userId: "docs", kind: "sign" })
  const signed = bytesOf("sums")
  const gpg = gpgVerifier()
  const signature = await (await importedGpgSigner(home, key.secretKey)).detached(signed, signal)
  const issuer = Buffer.from(signature).lastIndexOf(Buffer.from(key.certificate.fingerprint.slice(-16), "hex"))
  for (const at of [issuer, issuer + 8, issuer + 9]) {
    const changed = signature.with(at, (signature[at] ?? 0) ^ 1)
    await gpg.detached(signed, changed, key.certificate, "x", signal)
    assert.notEqual(changedUncovered(changed, signed), null)
  }
})

test("no signature of many is taken for a changed one", async () => {
  await using home = await openGpgHome()
  const key = await generateKey({ userId: "docs", kind: "sign" })
  const [js, gpg] = [await jsSigner(key.secretKey), await importedGpgSigner(home, key.secretKey)]
  for (let i = 0; i < 300; i++) {
    const signed = bytesOf(`sums ${i}`)
    const signer = i % 10 === 0 ? gpg : js
    assert.equal(changedUncovered(await signer.detached(signed, signal), signed), null)
  }
})
