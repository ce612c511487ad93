/** @file What `lowrank compose` does. */
import { composeAdapters } from "../../lora/index.ts";
import { openBase } from "../../models/index.ts";
import { checkDevice, ortBackend } from "../../runtime/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import { checkOutputFolder } from "../output-place.ts";
import { parseAdapter } from "./adapter-flag.ts";
import { publishComposed, writeComposed } from "./composed-adapter.ts";
import type { ComposeCommandOptions } from "./compose.ts";
import { modelFolder, openAdapters, ortOptions } from "./open-model.ts";

/** The factors of all patterns that find a module, multiplied: those of all adapters and those of the one that is asked for, by its name before a colon. */
const moduleWeights = (given: readonly string[], adapters: readonly string[]): ((module: string, adapter: number) => number) => {
  const names = adapters.map((reference) => parseAdapter(reference).directory);
  const factors = given.map((pair) => {
    const at = pair.lastIndexOf("=");
    const owner = names.find((name) => pair.startsWith(`${name}:`));
    const pattern = pair.slice(owner === undefined ? 0 : owner.length + 1, at);
    try {
      return { owner, pattern: new RegExp(pattern), factor: Number(pair.slice(at + 1)) };
    } catch (cause) {
      throw new LowrankError("invalid-argument", `--module-weight: ${pattern} is not a regular expression.`, { cause });
    }
  });
  return (module, adapter) =>
    factors
      .filter(({ owner, pattern }) => (owner ?? names[adapter]) === names[adapter] && pattern.test(module))
      .reduce((product, { factor }) => product * factor, 1);
};

export const run = async (options: ComposeCommandOptions, context: CommandContext): Promise<object> => {
  const moduleWeight = moduleWeights(options.moduleWeight, options.adapter);
  await checkOutputFolder(options.output, options.force);
  await checkDevice(ortOptions(options));
  const base = await openBase(await modelFolder(options.model, context));
  const backend = ortBackend(ortOptions(options));
  try {
    const adapters = await openAdapters({ base, backend }, options.adapter, options, context);
    const { method, rank, energy, density, signs, seed } = options;
    const composed = await composeAdapters(backend, base, adapters, {
      method,
      energy,
      density,
      signs,
      seed,
      moduleWeight,
      ...(rank !== undefined && { rank }),
    });
    return {
      model: base.directory,
      adapters: adapters.map(({ directory, weight }) => ({ directory, weight })),
      method,
      ...(await writeComposed(base, composed, options.output, context)),
      ...(await publishComposed(options.output, options, adapters, context)),
    };
  } finally {
    await backend.dispose();
  }
};
