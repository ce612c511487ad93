/** @file Finds the family of a configuration by its `model_type`. Adding a family is its file and one line here. */
import { LowrankError } from "../util/index.ts";
import { llama } from "./llama.ts";
import type { Family, Model } from "./model.ts";

const families: Readonly<Record<string, Family>> = { llama };

/** The model that a configuration describes; throws `unsupported` with the name of an unknown family. */
export const modelOf = (config: Readonly<Record<string, unknown>>, where: string): Model => {
  const type = config["model_type"];
  if (typeof type !== "string") throw new LowrankError("invalid-config", "The configuration does not say its model_type.", { where });
  if (!Object.hasOwn(families, type))
    throw new LowrankError("unsupported", `The model family "${type}" is not offered; known: ${Object.keys(families).join(", ")}.`, {
      where,
    });
  return families[type](config, where);
};
