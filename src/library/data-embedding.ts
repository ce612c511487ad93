/** @file What the data of an adapter are about, as records keep it: a vector that the adapter's base makes of them. It knows nothing about models. */
import { isObject } from "../formats/index.ts";

/** The mean last hidden state of the base over a sample of the training data. */
export interface DataEmbedding {
  /** Examples of the sample, and its tokens. */
  readonly examples: number;
  readonly tokens: number;
  /** float32, little-endian, in base64. */
  readonly vector: string;
}

/** A vector as a record keeps it. */
export const vectorText = (values: ArrayLike<number>): string => {
  const bytes = Buffer.alloc(4 * values.length);
  for (let index = 0; index < values.length; index++) bytes.writeFloatLE(values[index], 4 * index);
  return bytes.toString("base64");
};

/** The vector of an embedding. */
export const vectorOf = ({ vector }: Pick<DataEmbedding, "vector">): Float32Array => {
  const bytes = Buffer.from(vector, "base64");
  return Float32Array.from({ length: Math.floor(bytes.length / 4) }, (_, index) => bytes.readFloatLE(4 * index));
};

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) > 0;

/** Whether what was read is an embedding whose numbers are finite. */
export const isEmbedding = (value: unknown): value is DataEmbedding => {
  if (!isObject(value) || !isCount(value["examples"]) || !isCount(value["tokens"])) return false;
  const { vector } = value;
  if (typeof vector !== "string" || vector === "" || Buffer.from(vector, "base64").toString("base64") !== vector) return false;
  return Buffer.from(vector, "base64").length % 4 === 0 && vectorOf({ vector }).every(Number.isFinite);
};
