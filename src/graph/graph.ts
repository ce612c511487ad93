/** @file A program: named outputs and everything that they need, in order. It knows nothing about how it is run. */
import { LowrankError } from "../util/index.ts";
import { operandsOf, sameShape, typeText, type Tensor, type TensorType } from "./op.ts";
import { inputOf, weightOf } from "./ops/leaf.ts";
import { topological } from "./walk.ts";

export interface Graph {
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Inputs before users; what no output's value needs is not there, so dead code never reaches a backend. */
  readonly order: readonly Tensor[];
  /** What must be fed, by name. */
  readonly inputs: ReadonlyMap<string, Tensor>;
}

/**
 * The program that computes the outputs.
 * @example const graph = program({ y: add(input("x", [2]), scalar(1)) });
 */
export const program = (outputs: Readonly<Record<string, Tensor>>): Graph => {
  const order = topological(Object.values(outputs), undefined, operandsOf);
  const inputs = new Map<string, Tensor>();
  for (const tensor of order) {
    const name = inputOf(tensor)?.name;
    if (name === undefined) continue;
    if (inputs.has(name))
      throw new LowrankError("graph-invalid", `Two inputs are called "${name}".`, { fix: "Make each input once and pass the tensor on." });
    inputs.set(name, tensor);
  }
  for (const name of Object.keys(outputs))
    if (inputs.has(name))
      throw new LowrankError("graph-invalid", `An input and an output are both called "${name}".`, { fix: "Rename one of them." });
  const graph = { outputs, order, inputs };
  if (globalThis.process?.env["DEBUG"]) verify(graph);
  return graph;
};

/** Checks a program against the rules of its ops; throws `graph-invalid` with the op and its types. */
export const verify = ({ order, outputs }: Graph): void => {
  const seen = new Set<Tensor>();
  for (const tensor of order) {
    const problem = (what: string, cause?: unknown): LowrankError =>
      new LowrankError("graph-invalid", `${what}: ${describe(tensor)}.`, { cause });
    if (tensor.shape.some((size) => !Number.isSafeInteger(size) || size <= 0)) throw problem("A size is not a positive integer");
    if (operandsOf(tensor).some((input) => !seen.has(input))) throw problem("An op comes before its input");
    const type = inferred(tensor, problem);
    if (type.dtype !== tensor.dtype || !sameShape(type.shape, tensor.shape)) throw problem(`The rule says ${typeText(type)}`);
    seen.add(tensor);
  }
  for (const [name, tensor] of Object.entries(outputs))
    if (!seen.has(tensor)) throw new LowrankError("graph-invalid", `The output "${name}" is not in the program.`);
};

const inferred = ({ op, inputs, attributes }: Tensor, problem: (what: string, cause: unknown) => LowrankError): TensorType => {
  try {
    return op.infer(inputs, attributes);
  } catch (cause) {
    throw problem("The rule refuses its inputs", cause);
  }
};

const describe = (tensor: Tensor): string => `${tensor.op.name}(${tensor.inputs.map(typeText).join(", ")}) → ${typeText(tensor)}`;

/** The program as text, one op a line, for people. */
export const print = ({ order, outputs }: Graph): string => {
  const names = new Map<Tensor, string>();
  const lines = order.map((tensor, index) => {
    const label = inputOf(tensor)?.name ?? weightOf(tensor)?.name;
    names.set(tensor, `%${index}`);
    const operands = operandsOf(tensor)
      .map((input) => names.get(input))
      .join(", ");
    return `%${index} = ${tensor.op.name}(${label === undefined ? operands : `"${label}"`}) ${typeText(tensor)}`;
  });
  return [...lines, ...Object.entries(outputs).map(([name, tensor]) => `return ${name} = ${names.get(tensor)}`)].join("\n");
};
