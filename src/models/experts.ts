/** @file Layers of routed experts as parts of a model: their modules, parameters, and the stacks that they are elsewhere. It knows no family by name. */
import type { ConfigReader } from "../formats/index.ts";
import type { ExpertModules, Routing } from "../nn/index.ts";
import { LowrankError } from "../util/index.ts";
import { linearParameters } from "./heads/head.ts";
import type { Balance, LinearSpec, ParameterSpec, StackSpec } from "./model.ts";

/** The experts of a model as its configuration describes them. */
export interface Experts extends Routing {
  readonly count: number;
  /** Width of one expert. */
  readonly innerSize: number;
  /** Names in the checkpoint: of the block within its layer, and of an expert's projections. */
  readonly names: Readonly<Record<"block" | keyof ExpertModules, string>>;
}

/** `num_experts_per_tok`, which is at most the number of experts. */
export const expertsPerToken = (read: ConfigReader, count: number, fallback: number, where: string): number => {
  const perToken = read.size("num_experts_per_tok", fallback);
  if (perToken > count && count > 0)
    throw new LowrankError("invalid-config", `num_experts_per_tok ${perToken} is more than the ${count} experts that there are.`, {
      where,
    });
  return perToken;
};

/** What a configuration asks of training so that the experts are used alike: nothing unless `output_router_logits` is true. */
export const balanceOf = (read: ConfigReader, { perToken, count }: Pick<Experts, "perToken" | "count">): Balance | undefined =>
  count > 0 && read.boolean("output_router_logits", false)
    ? { coefficient: read.number("router_aux_loss_coef", 0.001), perToken }
    : undefined;

const indices = ({ count }: Experts): number[] => Array.from({ length: count }, (_, expert) => expert);

/** The router of a layer, which is not one of the modules that "all-linear" means. */
export const routerModule = ({ names }: Experts, layer: string): string => `${layer}.${names.block}.gate`;

/** The projections of a layer's experts. */
export const expertModules = (experts: Experts, layer: string): ExpertModules => {
  const { names } = experts;
  const named = (name: string): string[] => indices(experts).map((expert) => `${layer}.${names.block}.experts.${expert}.${name}`);
  return { gate: named(names.gate), up: named(names.up), down: named(names.down) };
};

/** The weights of a layer's router and experts. */
export const expertParameters = (experts: Experts, layer: string, hiddenSize: number, deviation: number): ParameterSpec[] => {
  const { gate, up, down } = expertModules(experts, layer);
  const linear = (module: string, inFeatures: number, outFeatures: number): LinearSpec => ({
    module,
    inFeatures,
    outFeatures,
    bias: false,
    isHead: false,
  });
  return [
    linear(routerModule(experts, layer), hiddenSize, experts.count),
    ...indices(experts).flatMap((expert) => [
      linear(gate[expert], hiddenSize, experts.innerSize),
      linear(up[expert], hiddenSize, experts.innerSize),
      linear(down[expert], experts.innerSize, hiddenSize),
    ]),
  ].flatMap((spec) => linearParameters(spec, deviation));
};

/** The parameters that Transformers 5, and so PEFT, have instead of a layer's router and experts. */
export const expertStacks = (experts: Experts, layer: string, hiddenSize: number): StackSpec[] => {
  const { gate, up, down } = expertModules(experts, layer);
  const { innerSize, count } = experts;
  return [
    { parameter: `${layer}.mlp.gate.weight`, inFeatures: hiddenSize, outFeatures: count, parts: [[routerModule(experts, layer)]] },
    { parameter: `${layer}.mlp.experts.gate_up_proj`, inFeatures: hiddenSize, outFeatures: 2 * innerSize, parts: [gate, up] },
    { parameter: `${layer}.mlp.experts.down_proj`, inFeatures: innerSize, outFeatures: hiddenSize, parts: [down] },
  ];
};
