/** @file Floor 7: measuring models. */
export { evaluateLoss, type LossReport } from "./loss.ts";
export { verifyGolden, type Verification } from "./verify.ts";
export { chooseWeights, hubCompose, openHub, type HubOptions } from "./lora-hub/lora-hub.ts";
export { strategies, type Chosen, type StrategyName } from "./lora-hub/strategies.ts";
