/**
 * @file The contract of an adapter kind: what a target gets, how it starts, how it changes the layer and its weights, and how it is kept.
 * It knows no kind.
 */
import type { Tensor } from "../../graph/index.ts";
import type { Parameter } from "../../nn/index.ts";
import type { HostTensor } from "../../util/index.ts";
import type { LoraConfig } from "../config.ts";
import type { TargetKind } from "../kinds/kind.ts";
import type { StartContext } from "../init/initialisation.ts";
import type { AdapterTarget } from "../targets.ts";

/** A tensor of an adapter: trained, or frozen and in a vector of its own. */
export interface VariantParameter extends Parameter {
  readonly frozen?: true;
}

export interface VariantStart extends StartContext {
  readonly config: LoraConfig;
  /** A tensor's values by its short name, which come as zeros. */
  values(name: string): Float32Array;
}

/** The frozen layer that an adapter acts on; nothing is in a graph before it is asked for. */
export interface FrozenLayer {
  /** s·W·A of W as (out, in) and A (in, r): (out, r). */
  times(A: Tensor, s: number): Tensor;
  /** ‖w‖² of each row of W as (out, in): (out, 1). */
  squares(): Tensor;
  /** A value that unmerging needs and that only W gives: made once when merging, and handed back. */
  kept(name: string, make: () => Tensor): Tensor;
}

/** One target with an adapter at work. */
export interface AdaptedLayer {
  readonly target: AdapterTarget;
  readonly config: LoraConfig;
  /** The adapter's tensors by their short names: `lora_A`, `lora_B` …, and those that all targets share. */
  tensors(name: string): Tensor;
  /** How strongly the adapter acts: 1 as trained, 0 not at all. What it adds to the frozen layer is in proportion. */
  readonly weight: number;
  readonly base: FrozenLayer;
}

/** What goes through a layer. */
export interface LayerPass {
  /** What the module reads: x (N, in), or ids of an embedding. */
  readonly input: Tensor;
  /** What the adapter sees of it: in training, what dropout has left. */
  readonly seen: Tensor;
  /** What the layer gives so far, alone or with other adapters: (N, out). */
  readonly output: Tensor;
  /** s·A of what the adapter sees: (N, r). Modules that read the same share one product. */
  reduce(A: Tensor, s: number): Tensor;
  /** What the frozen layer makes of `seen`, without its bias: x·W (N, out). */
  product(): Tensor;
}

/** Rows that go through several layers, each through its own. */
export interface GroupedPass {
  /** (M, in), which lie layer by layer. */
  readonly input: Tensor;
  /** Where each layer's rows begin and, last, where all end: (layers + 1) int64. */
  readonly bounds: Tensor;
  /** What the layers give so far: (M, out). */
  readonly output: Tensor;
}

/** What an adapter does to a layer's own tensors: W′ = W + gain∘W + update, b′ = b + bias. */
export interface LayerChange {
  /** (out, in). */
  readonly update: Tensor;
  /** (out, 1); default none. */
  readonly gain?: Tensor;
  /** (out); default none. */
  readonly bias?: Tensor;
}

/** An adapter as files hold it. */
export interface SavedContent {
  readonly config: LoraConfig;
  readonly targets: ReadonlyMap<string, AdapterTarget>;
  /** Trained and frozen ones, by their names in layouts. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** What the file says about itself. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface Variant {
  /** As people call it. */
  readonly name: string;
  /** The kinds of modules that it adapts. */
  readonly kinds: readonly TargetKind[];
  /** Whether it is the kind that a configuration describes; the first in the table that says so is taken. */
  isMeant(config: LoraConfig): boolean;
  /** Whether it can begin with a start that shifts the base. */
  readonly shifts?: true;
  /** What a target gets; names are short, files and layouts put the module before them. */
  parameters(target: AdapterTarget, config: LoraConfig): readonly VariantParameter[];
  /** What all targets have together, by names without a module, and its starting values; default nothing. */
  readonly shared?: {
    parameters(targets: readonly AdapterTarget[], config: LoraConfig): readonly VariantParameter[];
    start(targets: readonly AdapterTarget[], config: LoraConfig): Readonly<Record<string, HostTensor>>;
  };
  /** Fills the starting values of one target. */
  start(start: VariantStart): Promise<void>;
  /** Whether a target's trained values change the layer, as far as they show it. */
  acts(target: AdapterTarget, values: (name: string) => Float32Array): boolean;
  /** The layer's output with what the adapter adds to that of the frozen layer: (N, out). */
  forward(layer: AdaptedLayer, pass: LayerPass): Tensor;
  /** The same for the experts of one parameter; only for kinds that adapt experts. */
  grouped?(layers: readonly AdaptedLayer[], pass: GroupedPass): Tensor;
  /** The same as a change of the layer's tensors, which merging makes and unmerging takes back. */
  change(layer: AdaptedLayer): LayerChange;
  /** Whether what files hold is all of its change, as s·A·B; default no. */
  readonly isProduct?: true;
  /** A scalar that training adds to the mean loss; default nothing. */
  penalty?(layers: readonly Pick<AdaptedLayer, "config" | "tensors">[]): Tensor;
  /** The configuration once the number of updates of a run is known; default as it is. */
  scheduled?(config: LoraConfig, steps: number): LoraConfig;
  /** What files hold; default all tensors as they are. */
  saved?(content: SavedContent): SavedContent;
  /** All tensors, from what files hold; default as they are. */
  opened?(content: SavedContent): SavedContent;
}
