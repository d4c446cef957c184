/** The version of this copy of Coterie, from the package.json above this folder. */
import { createRequire } from "node:module";

const { version } = createRequire(import.meta.url)("../package.json") as { version: string };

export const VERSION: string = version;
