/** @file Floor 5: data. Rows of files as examples with a mask, and examples as batches. */
export { materialise, noLabel, type Batch, type BatchPlan } from "./batch.ts";
export { planBatches, planEpoch, type EpochOptions } from "./batches.ts";
export type { Collation } from "./collation.ts";
export { loadDataset, loadExamples, type Dataset, type DatasetOptions } from "./dataset.ts";
export { supervisedCount, truncate, type Example } from "./example.ts";
export { fingerprint } from "./fingerprint.ts";
export { detectFormat, fittingFormat, withFields, type DataFormats, type FieldNames } from "./format.ts";
export { alpacaPrompt } from "./formats/alpaca.ts";
export type { DataFormat, LossMode, Parsed, ParsedJudgement, ParsedPair } from "./formats/parsed.ts";
export type { Encode, ExampleKind } from "./kinds/kind.ts";
export { judgedKind, type Judged, type JudgedBatch } from "./kinds/judged.ts";
export { pairKind, type Pair, type PairBatch } from "./kinds/pairs.ts";
export { rowFormats, rowKind } from "./kinds/rows.ts";
export { previewExample, visible, type PreviewToken } from "./preview.ts";
export { type DatasetReport, type EndToken } from "./report.ts";
export { type Row } from "./row.ts";
export { readRows } from "./source.ts";
export { loadTextStream, type TextStream, type TextStreamOptions } from "./text-stream.ts";
