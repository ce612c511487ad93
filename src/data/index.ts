/** @file Floor 5: data. Rows of files as examples with a mask, and examples as batches. */
export { materialise, noLabel, type Batch, type BatchPlan } from "./batch.ts";
export { planBatches, planEpoch, type EpochOptions } from "./batches.ts";
export { rowCollation, type Collation } from "./collation.ts";
export { loadDataset, type Dataset, type DatasetOptions } from "./dataset.ts";
export { supervisedCount, truncate, type Example } from "./example.ts";
export { fingerprint } from "./fingerprint.ts";
export { dataFormats, detectFormat, type FieldNames, type FormatName } from "./format.ts";
export { alpacaPrompt } from "./formats/alpaca.ts";
export { type LossMode } from "./mask.ts";
export { previewExample, visible, type PreviewToken } from "./preview.ts";
export { type DatasetReport, type EndToken } from "./report.ts";
export { type Row } from "./row.ts";
export { readRows } from "./source.ts";
export { loadTextStream, type TextStream, type TextStreamOptions } from "./text-stream.ts";
