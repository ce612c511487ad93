/** @file What a forward pass sees of a model's parameters: tensors by name and modules to call. It knows nothing about adapters; they wrap it. */
import { add, groupedMatmul, matmul, reshape, type Tensor } from "../graph/index.ts";
import { LowrankError } from "../util/index.ts";
import { rowsOf } from "./embedding.ts";
import { joinedProducts } from "./joined-products.ts";
import { precisions, type Precision } from "./precision/precision.ts";

/** A linear module that is frozen, not adapted and without bias. */
export interface FrozenLinear {
  /** (out, in), in float32. */
  readonly weight: Tensor;
  /** p·W for rows of probabilities: (N, out) → (N, in). */
  back(p: Tensor): Tensor;
}

export interface Modules {
  has(name: string): boolean;
  /** A parameter by its name in the checkpoint; throws `not-found`. */
  tensor(name: string): Tensor;
  /** x·Wᵀ + b through the linear module: (N, in) → (N, out). */
  linear(module: string, x: Tensor): Tensor;
  /** Rows that lie module by module between the bounds (G + 1) int64, each group through the linear module of its own: (M, in) → (M, out). */
  grouped(modules: readonly string[], x: Tensor, bounds: Tensor): Tensor;
  /** Several linear modules that read the same x, which may share what they do with it. */
  linears(modules: readonly string[], x: Tensor): Tensor[];
  /** Rows of an embedding: ids (…) → (count of ids, D). */
  embedding(module: string, ids: Tensor): Tensor;
  /** The linear module if it is frozen, not adapted and without bias; undefined for any other. */
  frozenLinear(module: string): FrozenLinear | undefined;
  /** The tensors that gradients are wanted for. */
  readonly trainable: ReadonlySet<Tensor>;
}

export interface ModulesOptions {
  /** Finds a parameter, undefined where there is none. */
  readonly find: (name: string) => Tensor | undefined;
  /** Parameters that share another's storage unless they are found on their own: a tied head. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** Linear modules whose weights are (in, out). */
  readonly turned?: ReadonlySet<string>;
  /** The row of an embedding, by module, that gets no gradient where it is read. */
  readonly padding?: ReadonlyMap<string, number>;
  readonly trainable?: readonly Tensor[];
}

const forms: readonly [string, Precision][] = Object.entries(precisions);

/** Modules over a way to find parameters; a linear module for which a form with fewer bits is found multiplies with that. */
export const modulesOf = ({ find, aliases = {}, turned = new Set(), padding = new Map(), trainable = [] }: ModulesOptions): Modules => {
  const resolve = (name: string): Tensor | undefined => find(name) ?? (Object.hasOwn(aliases, name) ? find(aliases[name]) : undefined);
  const tensor = (name: string): Tensor => {
    const found = resolve(name);
    if (found === undefined) throw new LowrankError("not-found", `The model has no tensor "${name}".`);
    return found;
  };
  const formOf = (module: string): Precision | undefined => forms.find(([name]) => find(`${module}.${name}`) !== undefined)?.[1];
  const partOf =
    (module: string) =>
    (part: string): Tensor | undefined =>
      find(`${module}.${part}`);
  const withBias = (module: string, product: Tensor): Tensor => {
    const bias = resolve(`${module}.bias`); // (out)
    return bias === undefined ? product : add(product, bias);
  };
  const togetherOf = (names: readonly string[], x: Tensor): Tensor[] | undefined => {
    const [form, ...others] = names.map(formOf);
    if (form === undefined || others.some((other) => other !== form)) return undefined;
    return joinedProducts(form, x, names.map(partOf))?.map((product, index) => withBias(names[index], product));
  };
  const wanted = new Set(trainable);
  const modules: Modules = {
    has: (name) => resolve(name) !== undefined,
    tensor,
    linear: (module, x) => {
      const form = formOf(module);
      if (form !== undefined) return withBias(module, form.product(x, partOf(module))); // (N, out)
      return matmul(x, tensor(`${module}.weight`), { transposeB: !turned.has(module) }, resolve(`${module}.bias`)); // (N, out)
    },
    grouped: (group, x, bounds) =>
      groupedMatmul(
        x,
        bounds,
        group.map((module) => tensor(`${module}.weight`)),
        { transposeB: true },
      ), // (M, out)
    linears: (names, x) => togetherOf(names, x) ?? names.map((name) => modules.linear(name, x)),
    embedding: (module, ids) => {
      const table = tensor(`${module}.weight`); // (V, D)
      return reshape(rowsOf(table, ids, padding.get(module)), [-1, table.shape[1]]); // (N, D)
    },
    frozenLinear: (module) => {
      const found = tensor(`${module}.weight`);
      if (wanted.has(found) || turned.has(module) || resolve(`${module}.bias`) !== undefined) return undefined;
      return { weight: found, back: (p) => formOf(module)?.probabilities?.(p, found, partOf(module)) ?? matmul(p, found) };
    },
    trainable: wanted,
  };
  return modules;
};
