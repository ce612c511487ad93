/** @file The mT5 family [Xue et al. 2021]: T5 version 1.1, which never scales what the head reads. */
import { t5Family } from "./t5.ts";

export const mt5 = t5Family({ type: "mt5", projection: "gated-gelu", scalesTied: false });
