/** @file What the program knows about its own package: version and embedded model. It works from the sources and from the build. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const rootAbove = (folder: string): string => (existsSync(join(folder, "package.json")) ? folder : rootAbove(dirname(folder)));

/** The package's folder, whatever depth below it the build puts this code at. */
export const packageFolder = (): string => rootAbove(dirname(fileURLToPath(import.meta.url)));

/** The version in `package.json`. */
export const packageVersion = (): string =>
  (JSON.parse(readFileSync(join(packageFolder(), "package.json"), "utf8")) as { version: string }).version;

/** Folder of the model that comes with the package. */
export const embeddedModel = (): string => join(packageFolder(), "assets", "tiny");
