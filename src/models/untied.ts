/** @file Finds out whether tensors that a model shares are one in a checkpoint as well. It knows no family. */
import { tensorChunks } from "../formats/index.ts";
import type { WeightLocation } from "../graph/index.ts";
import type { Model, ParameterSpec } from "./model.ts";

const equalContent = async (a: WeightLocation, b: WeightLocation): Promise<boolean> => {
  if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return false;
  const others = tensorChunks(b);
  for await (const chunk of tensorChunks(a)) if (Buffer.compare(chunk, (await others.next()).value) !== 0) return false;
  return true;
};

/**
 * The model with a parameter of its own for each alias that is stored with other values than its source. What a checkpoint holds goes
 * before what its configuration ties, as in transformers from version 5 on, which writes such configurations for T5 1.1.
 */
export const untied = async (model: Model, stored: ReadonlyMap<string, WeightLocation>): Promise<Model> => {
  const own: ParameterSpec[] = [];
  for (const [name, source] of Object.entries(model.aliases)) {
    const [alias, shared] = [stored.get(name), stored.get(source)];
    if (alias === undefined || shared === undefined || (await equalContent(alias, shared))) continue;
    own.push({ ...model.parameters.find((parameter) => parameter.name === source)!, name });
  }
  if (own.length === 0) return model;
  const names = new Set(own.map(({ name }) => name));
  const aliases = Object.fromEntries(Object.entries(model.aliases).filter(([name]) => !names.has(name)));
  return { ...model, aliases, parameters: [...model.parameters, ...own] };
};
