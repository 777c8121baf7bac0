// The door that verifies: whether a signature counts (docs/format.md, section 3), and what a certificate is good for.
// Each certificate is looked at alone, so no other key can speak for it. No private key, no trust database, no network.
// The two ways differ in one thing: OpenPGP.js also refuses RSA keys below 2,047 bits.

export { gpgVerifier } from "./verify-gpg.ts"
export { jsVerifier } from "./verify-js.ts"
