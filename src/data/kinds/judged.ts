/** @file Single answers, each judged good or bad, and for each prompt an answer to another one. It knows nothing about losses. */
import { materialise, type Batch } from "../batch.ts";
import { truncate, type Example } from "../example.ts";
import { judgedFormat } from "../formats/judged.ts";
import type { DataFormat, ParsedJudgement, ParsedPair } from "../formats/parsed.ts";
import type { ExampleKind } from "./kind.ts";
import { pairFormats } from "./pairs.ts";

interface Judgement {
  readonly answer: Example;
  readonly desirable: boolean;
}

/** An answer with its prompt, whether it is a good one, and its prompt with the answer to another. */
export interface Judged extends Judgement {
  readonly mismatched: Example;
}

export interface JudgedBatch extends Batch {
  /** 1 for a good answer, 0 for a bad one: (rows). */
  readonly desirable: Float32Array;
  /** 1 for an answer, 0 for an empty row: (rows). */
  readonly present: Float32Array;
  /** The prompts of the same rows, with answers to others. */
  readonly mismatched: Batch;
}

/** Both answers of a pair, judged. */
const unpaired = (format: DataFormat<ParsedPair>): DataFormat<readonly ParsedJudgement[]> => ({
  ...format,
  read: (row) => {
    const { chosen, rejected } = format.read(row);
    return [
      { answer: chosen, desirable: true },
      { answer: rejected, desirable: false },
    ];
  },
});

const promptLength = ({ supervised }: Example): number => supervised.indexOf(1);

const joined = (prompt: Example, answer: Example): Example => {
  const [at, from] = [promptLength(prompt), promptLength(answer)];
  return {
    ids: Int32Array.of(...prompt.ids.subarray(0, at), ...answer.ids.subarray(from)),
    supervised: Uint8Array.of(...prompt.supervised.subarray(0, at), ...answer.supervised.subarray(from)),
    where: prompt.where,
  };
};

const farthest = 16;

/** How far to rotate the answers so that as few as possible meet their own prompt; every answer is then used once. */
const rotationOf = (answers: readonly Example[]): number => {
  const prompts = answers.map((answer) => answer.ids.subarray(0, promptLength(answer)).join());
  const clashes = (step: number): number => prompts.filter((prompt, index) => prompt === prompts[(index + step) % prompts.length]).length;
  let [best, fewest] = [1, Infinity];
  for (let step = 1; step <= farthest && fewest > 0; step++) {
    const count = clashes(step);
    if (count < fewest) [best, fewest] = [step, count];
  }
  return best;
};

/** One row for each answer, beside a row with its prompt and another's answer. */
export const judgedKind: ExampleKind<Judged, JudgedBatch, readonly ParsedJudgement[], Judgement> = {
  noun: "judged answer",
  formats: {
    judged: { ...judgedFormat, read: (row) => [judgedFormat.read(row)] },
    ...Object.fromEntries(Object.entries(pairFormats).map(([name, format]) => [name, unpaired(format)])),
  },
  read: (judgements, encode) => {
    const drafts: Judgement[] = [];
    for (const { answer, desirable } of judgements) {
      const example = encode(answer);
      if (typeof example === "string") return example;
      drafts.push({ answer: example, desirable });
    }
    return drafts;
  },
  complete: (drafts, maxLength) => {
    const rotation = rotationOf(drafts.map(({ answer }) => answer));
    return drafts.map((draft, index) => ({
      ...draft,
      mismatched: truncate(joined(draft.answer, drafts[(index + rotation) % drafts.length].answer), maxLength),
    }));
  },
  partsOf: ({ answer, desirable }) => ({ [desirable ? "desirable" : "undesirable"]: answer }),
  lengthOf: ({ answer, mismatched }) => Math.max(answer.ids.length, mismatched.ids.length),
  tokensOf: ({ answer }) => answer.ids.length,
  whereOf: ({ answer }) => answer.where,
  contentOf: ({ answer, desirable, mismatched }) => [
    String(desirable),
    ...[answer, mismatched].flatMap(({ ids, supervised }) => [`${ids.length} `, ids, supervised]),
  ],
  packs: false,
  collate: ({ examples, rows, batchSize: B, length }) => {
    const judged = rows.map(([index]) => examples[index]);
    const rowsOf = (part: (one: Judged) => Example): Batch =>
      materialise({ examples: judged.map(part), rows: judged.map((_, row) => [row]), batchSize: B, length });
    return {
      ...rowsOf(({ answer }) => answer),
      desirable: Float32Array.from({ length: B }, (_, row) => Number(row < judged.length && judged[row].desirable)),
      present: Float32Array.from({ length: B }, (_, row) => Number(row < judged.length)),
      mismatched: rowsOf(({ mismatched }) => mismatched),
    };
  },
};
