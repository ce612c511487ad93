/** @file The exact sum of adapters as one of the sum of their ranks: A = [w₁s₁A₁, w₂s₂A₂, …], B = [B₁; B₂; …]. It knows nothing about modules. */
import type { Method } from "./method.ts";
import { sumOfTerms } from "./term.ts";

export const concatenation: Method = (terms) => sumOfTerms(terms);
