/** @file The loss that the flags of a command describe, or that its data call for. It knows nothing about any loss. */
import type { z } from "zod";
import { lossFor, lossNamed, type Loss, type LossName } from "../../train/index.ts";
import { fieldsOf, type DataOptions } from "./training-data.ts";
import type { lossOptions } from "./train-options.ts";

type LossOptions = z.output<z.ZodObject<typeof lossOptions>>;

const nameOf = ({ loss, stream, data, format, ...options }: LossOptions & DataOptions): Promise<LossName> | LossName => {
  if (loss !== "auto") return loss;
  // A stream of text has no rows to tell anything from.
  return stream ? "next-token" : lossFor(data, { fields: fieldsOf(options), ...(format !== "auto" && { format }) });
};

/** Settings that the loss does not know are `invalid-argument`. */
export const lossOf = async (options: LossOptions & DataOptions): Promise<Loss> => {
  const { beta, labelSmoothing, lambda, desirableWeight, undesirableWeight } = options;
  return lossNamed(await nameOf(options), { beta, labelSmoothing, lambda, desirableWeight, undesirableWeight });
};
