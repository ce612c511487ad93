/** @file Floor 3: functions from graph tensors to graph tensors. */
export { activations, type Activation } from "./activation.ts";
export { cachedAttention, trainingAttention, type Attention, type AttendOptions } from "./attention.ts";
export { loadBalance, type RoutedTokens } from "./load-balance.ts";
export { layoutOf, roles, viewOf, type Parameter, type ParameterLayout, type ParameterRole, type ParameterSlot } from "./layout.ts";
export { chunkedLoss, crossEntropy, linearCrossEntropy } from "./loss.ts";
export { logProbs } from "./log-probs.ts";
export { logSigmoid } from "./log-sigmoid.ts";
export { rowsOf } from "./embedding.ts";
export { causalMask, fullMask, hiddenScore, type Mask } from "./mask.ts";
export { fusedGatedMlp, gatedMlp } from "./mlp.ts";
export { gatedExperts, routed, type ExpertModules, type Routing } from "./moe.ts";
export { modulesOf, type Modules } from "./modules.ts";
export { layerNorm } from "./norm.ts";
export { bucketedBias, type PositionBias } from "./position-bias.ts";
export { recomputed } from "./recompute.ts";
export { roundedRope, ropeTables, ropeWith, turn, type Rope, type RopeSettings, type RopeTables } from "./rope.ts";
export { softcap } from "./softcap.ts";
export { precisions, roundedModule, withoutParts, type Precision, type PrecisionName } from "./precision/precision.ts";
