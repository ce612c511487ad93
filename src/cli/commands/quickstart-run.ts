/** @file What `lowrank quickstart` does: trains an adapter on the embedded model and shows what changed. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Generator } from "../../language-model.ts";
import { nextToken } from "../../train/index.ts";
import type { CommandContext } from "../context.ts";
import { folderBytes } from "../folder-bytes.ts";
import { embeddedModel, packageFolder } from "../package.ts";
import { formatBytes, formatCount, formatDuration, formatFigure, formatPercent } from "../ui/format.ts";
import { formatTable } from "../ui/table.ts";
import { openModel } from "./open-model.ts";
import type { QuickstartOptions } from "./quickstart.ts";
import { train } from "./train.ts";
import { adapterConfig } from "./adapter-options.ts";
import { loadTrainingData, showData } from "./training-data.ts";
import { runSession, settingsOf } from "./training-session.ts";

interface Sample {
  readonly prompt: string;
  readonly completion: string;
}

const domain = join(packageFolder(), "assets", "data", "weather");
const shownSamples = 3;
const checkedSamples = 20;

/** The recipe, as the flags of `lowrank train` would give it. */
const recipe = {
  data: join(domain, "train.jsonl"),
  evalData: join(domain, "valid.jsonl"),
  rank: 16,
  epochs: 20,
  batchSize: 8,
  seqLength: 128,
  learningRate: 4e-3,
  schedule: "cosine",
  warmupSteps: 10,
  evalEvery: 100,
};

const firstLine = (text: string): string => text.trim().split("\n")[0].slice(0, 100);

const answer = async (generator: Generator, prompt: string): Promise<string> => {
  let text = "";
  for await (const piece of generator.text(prompt, { temperature: 0, maxTokens: 60 })) text += piece;
  return text;
};

const readSamples = async (): Promise<Sample[]> =>
  (await readFile(recipe.evalData, "utf8"))
    .trim()
    .split("\n")
    .slice(0, checkedSamples)
    .map((line) => JSON.parse(line) as Sample);

export const run = async ({ output, threads }: QuickstartOptions, context: CommandContext): Promise<object> => {
  const began = performance.now();
  const options = train.options.parse({ model: embeddedModel(), output, threads, ...recipe });
  await rm(output, { recursive: true, force: true });
  const model = await openModel(options, context);
  try {
    context.out(
      "A small model that writes stories learns to report the weather in telegraph style. Model and data come with the package.\n",
    );
    const data = await loadTrainingData(options, model.tokenizer, nextToken);
    showData(data, nextToken, model.tokenizer, context);
    const stored = await model.attach(adapterConfig(options, model.tokenizer), options.seed);
    const { base, backend } = model;
    const result = await runSession(
      {
        backend,
        subject: { method: "lora", base, stored },
        settings: settingsOf(options),
        loss: nextToken,
        data: data.data,
        heldOut: data.heldOut!,
        output,
      },
      context,
      "run it once more.",
    );
    if (result.reason === "interrupted") return result;

    const trained = await model.loadAdapter(output);
    const [before, after] = [await model.generator(), await model.generator({ adapters: [{ ...trained, weight: 1 }], merge: true })];
    const samples = await readSamples();
    const answers: { readonly prompt: string; readonly base: string; readonly adapter: string; readonly wanted: string }[] = [];
    for (const { prompt, completion } of samples) {
      const shown = answers.length < shownSamples;
      answers.push({ prompt, base: shown ? await answer(before, prompt) : "", adapter: await answer(after, prompt), wanted: completion });
    }
    context.out("");
    for (const { prompt, base: untrained, adapter } of answers.slice(0, shownSamples))
      context.out(`Prompt   ${prompt}\n  base     ${firstLine(untrained)}\n  adapter  ${firstLine(adapter)}\n`);

    const exact = answers.filter(({ adapter, wanted }) => adapter.trim() === wanted.trim()).length;
    const adapterBytes = await folderBytes(output, /^adapter_/);
    const baseBytes = await folderBytes(options.model, /\.safetensors$/);
    const seconds = (performance.now() - began) / 1000;
    const { first, best } = result.evaluation!;
    context.out(
      formatTable(
        [{ title: "" }, { title: "base", align: "right" }, { title: "with adapter", align: "right" }],
        [
          ["held-out loss", formatFigure(first), formatFigure(best)],
          [
            "parameters",
            formatCount(result.total - result.trainable),
            `${formatCount(result.trainable)} (${formatPercent(result.trainable / result.total)})`,
          ],
          ["size on disk", formatBytes(baseBytes), formatBytes(adapterBytes)],
          ["held-out answers right", "", `${exact} of ${answers.length}`],
        ],
        { colour: context.colour },
      ),
    );
    context.out(`\nDone in ${formatDuration(seconds)}. The adapter is in ${output}, in the form that PEFT reads.`);
    context.out(
      `Try it: npm run -s lowrank -- generate --adapter ${output} "Grey clouds covered the sky on the farm. It was a mild night."`,
    );
    return {
      output,
      trainable: result.trainable,
      total: result.total,
      adapterBytes,
      baseBytes,
      heldOutLoss: { before: first, after: best },
      trainingLoss: result.loss,
      exact,
      checked: answers.length,
      samples: answers.slice(0, shownSamples),
      seconds,
    };
  } finally {
    await model.close();
  }
};
