/** @file A process that saves one checkpoint after another until it is killed; `checkpoint.test.ts` kills it. */
import { join } from "node:path";
import { writeFileAtomically } from "../formats/index.ts";
import { saveTrainingState } from "./checkpoint.ts";

/** The state of a step, different in every byte from the state of another. */
export const stateOf = (step: number) => ({
  progress: { step, epoch: 0, position: step, tokens: 128 * step, random: [step, 2, 3, 4], evaluations: { stale: step } } as const,
  parameters: Float32Array.from({ length: 50_000 }, (_, index) => Math.sin(step + index)),
  optimiser: { step, vectors: { first_moment: Float32Array.from({ length: 50_000 }, (_, index) => Math.cos(step * index)) } },
});

/** Saves the state of a step, with its number for a model. */
export const save = (runFolder: string, step: number, isBest: boolean): Promise<string> =>
  saveTrainingState(runFolder, stateOf(step), {
    configuration: { seed: 7 },
    isBest,
    saveModel: (folder) => writeFileAtomically(join(folder, "model.txt"), String(step)),
  });

const [runFolder, first] = process.argv.slice(2);
if (process.argv[1] === import.meta.filename) {
  for (let step = Number(first); ; step++) {
    await save(runFolder, step, step % 3 === 0);
    process.stdout.write(`${step}\n`);
  }
}
