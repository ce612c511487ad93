/** @file What `lowrank extract` does. */
import { extractAdapter } from "../../lora/index.ts";
import { openBase } from "../../models/index.ts";
import { checkDevice, ortBackend } from "../../runtime/index.ts";
import type { CommandContext } from "../context.ts";
import { checkOutputFolder } from "../output-place.ts";
import { writeComposed } from "./composed-adapter.ts";
import type { ExtractCommandOptions } from "./extract.ts";
import { localFolder, modelFolder, ortOptions } from "./open-model.ts";

export const run = async (options: ExtractCommandOptions, context: CommandContext): Promise<object> => {
  await checkOutputFolder(options.output, options.force);
  await checkDevice(ortOptions(options));
  const base = await openBase(await modelFolder(options.model, context));
  const tuned = await openBase(await localFolder(options.tuned, context));
  const backend = ortBackend(ortOptions(options));
  try {
    const { rank, energy } = options;
    const extracted = await extractAdapter(backend, base, tuned, { rank, energy });
    const report = await writeComposed(base, extracted, options.output, context);
    if (extracted.whole.length > 0) context.out(`Held whole, because they are no linear modules: ${extracted.whole.join(", ")}.`);
    return { model: base.directory, tuned: tuned.directory, ...report, whole: extracted.whole };
  } finally {
    await backend.dispose();
  }
};
