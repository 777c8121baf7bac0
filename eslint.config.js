import tseslint from "typescript-eslint"

export default tseslint.config(
  { ignores: ["**/dist/", "**/node_modules/"] },
  ...tseslint.configs.strictTypeChecked.map((config) => ({ ...config, files: ["**/*.ts"] })),
  {
    files: ["**/*.ts"],
    languageOptions: {
      parserOptions: {
        // All in one program: one for each package took more memory than Node.js gives itself.
        project: ["tsconfig.lint.json"],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      // Numbers in messages are the usual case here, and an explicit String() adds nothing.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // `async` without `await` is how a port's simple implementation turns a throw into a rejection.
      "@typescript-eslint/require-await": "off",
    },
  },
  {
    files: ["**/*.test.ts"],
    rules: {
      // node:test's own `test` and `describe` return promises that the runner awaits.
      "@typescript-eslint/no-floating-promises": [
        "error",
        {
          allowForKnownSafeCalls: [
            { from: "package", name: ["test", "describe", "it", "suite"], package: "node:test" },
          ],
        },
      ],
      "@typescript-eslint/no-non-null-assertion": "off",
    },
  },
)
