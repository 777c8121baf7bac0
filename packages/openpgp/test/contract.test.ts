import { contract } from "./contract.ts"
import { gpgDoors, jsDoors } from "./doors.ts"

const ways = { gpg: () => gpgDoors(), "OpenPGP.js": jsDoors }
for (const [maker, openMaker] of Object.entries(ways)) {
  for (const [reader, openReader] of Object.entries(ways)) {
    contract(`made by ${maker}, read by ${reader}`, openMaker, openReader)
  }
}
