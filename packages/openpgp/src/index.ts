// What every door shares and no door opens: the interfaces, GnuPG homes, and the look at packet headers and at
// sealed messages from outside. The doors
// themselves are the subpaths `seal`, `sign`, `verify`, `open-passphrase`, `open-private`, `open-session` and `keygen`, so that a
// package can be limited to some of them.

export type * from "./doors.ts"
export { type GpgHome, openGpgHome, personalHome } from "./home.ts"
export { checkSignatureFile, leadingPkesks, type Packet, walkPackets } from "./packets.ts"
export { checkPkesks, checkSealed, type SealedTo } from "./sealed.ts"
