/** @file Floor 7: measuring models. */
export { evaluateLoss, type LossReport } from "./loss.ts";
export { verifyGolden, type Verification } from "./verify.ts";
