/** @file Floor 7: measuring models. */
export { evaluateLoss, type LossReport } from "./loss.ts";
export { evaluateMixed, type AdaptedExample, type MixedLossOptions } from "./mixed-loss.ts";
export { accuracy } from "./metrics/accuracy.ts";
export { confusionOf, type Confusion } from "./metrics/confusion.ts";
export { pearson, rootMeanSquareError } from "./metrics/correlation.ts";
export { figuresOfCounts } from "./metrics/counts.ts";
export { f1, macroF1, type ClassScores } from "./metrics/f1.ts";
export { measurePrecisions, recommendedPrecision, type MeasuredPrecision, type PrecisionOptions } from "./precision.ts";
export { predict, type Prediction, type PredictOptions } from "./predict.ts";
export { verifyGolden, type Verification } from "./verify.ts";
export { chooseWeights, hubCompose, openHub, type HubOptions } from "./lora-hub/lora-hub.ts";
export { strategies, type Chosen, type StrategyName } from "./lora-hub/strategies.ts";
export { embeddingScores, meanEmbedding, sampleEmbedding, type SampleEmbedding } from "./route/embedding.ts";
export { routeAdapters, type RouteOptions, type Suitability } from "./route/route.ts";
