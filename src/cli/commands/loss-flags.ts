/** @file The loss that the flags of a command describe, or that its data call for. It knows nothing about any loss. */
import type { z } from "zod";
import type { Model } from "../../models/index.ts";
import { lossFor, lossNamed, lossOfHead, nextToken, type Loss, type LossName } from "../../train/index.ts";
import { LowrankError } from "../../util/index.ts";
import { fieldsOf, type DataOptions } from "./training-data.ts";
import type { lossOptions } from "./train-options.ts";

type LossOptions = z.output<z.ZodObject<typeof lossOptions>>;

const nameOf = ({ loss, stream, data, format, ...options }: LossOptions & DataOptions): Promise<LossName> | LossName => {
  if (loss !== "auto") return loss;
  // A stream of text has no rows to tell anything from.
  return stream ? "next-token" : lossFor(data, { fields: fieldsOf(options), ...(format !== "auto" && { format }) });
};

/** The loss for a model. Settings that it does not know, and losses for another head than the model's, are `invalid-argument`. */
export const lossOf = async (options: LossOptions & DataOptions, model: Model): Promise<Loss> => {
  const { beta, labelSmoothing, lambda, desirableWeight, undesirableWeight } = options;
  const settings = { beta, labelSmoothing, lambda, desirableWeight, undesirableWeight };
  const own = lossOfHead(model);
  if (own === nextToken) return lossNamed(await nameOf(options), settings);
  const [[foreign] = []] = Object.entries({ loss: options.loss === "auto" ? undefined : options.loss, ...settings }).filter(
    ([, value]) => value !== undefined,
  );
  if (foreign !== undefined)
    throw new LowrankError("invalid-argument", `The head of this ${model.type} is trained by ${own.name} alone.`, {
      fix: `Leave --${foreign.replaceAll(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`)} out.`,
    });
  return own;
};
