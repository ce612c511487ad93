/** @file What `lowrank pretrain` does. */
import { join } from "node:path";
import { loadTokenizer, readJsonObject } from "../../formats/index.ts";
import { modelOf } from "../../models/index.ts";
import { checkDevice, ortBackend } from "../../runtime/index.ts";
import { checkOutput, lossOfHead } from "../../train/index.ts";
import type { CommandContext } from "../context.ts";
import { ortOptions } from "./open-model.ts";
import type { PretrainOptions } from "./pretrain.ts";
import { loadTrainingData, showData } from "./training-data.ts";
import { runSession, settingsOf, type TrainingResult } from "./training-session.ts";

export const run = async (options: PretrainOptions, context: CommandContext): Promise<TrainingResult> => {
  await checkOutput(options.output, options.resume);
  const place = ortOptions(options);
  await checkDevice(place);
  const path = join(options.model, "config.json");
  const model = modelOf(await readJsonObject(path), path);
  const tokenizer = await loadTokenizer(options.model);
  const loss = lossOfHead(model);
  const data = await loadTrainingData(options, tokenizer, loss);
  showData(data, loss, tokenizer, context);
  const backend = ortBackend(place);
  try {
    return await runSession(
      {
        backend,
        subject: { method: "pretrain", model, directory: options.model },
        settings: settingsOf(options),
        loss,
        data: data.data,
        ...(data.heldOut && { heldOut: data.heldOut }),
        output: options.output,
        resume: options.resume,
      },
      context,
      "repeat the command with --resume.",
    );
  } finally {
    await backend.dispose();
  }
};
