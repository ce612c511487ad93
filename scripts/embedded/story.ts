/** @file A whole story: a hero, the people around, an opening and a plot. */
import { elderOf, friendOf, type Being } from "./cast.ts";
import type { Teller } from "./english.ts";
import { opening } from "./opening.ts";
import { plots, type Plot } from "./plots/index.ts";

/** A story of three to five short paragraphs about `hero`, by any plot unless one is given. */
export const storyOf = (tell: Teller, hero: Being, plot: Plot = tell.pick(plots).plot): string => {
  const scene = { tell, hero, friend: friendOf(tell, hero), elder: elderOf(tell, hero) };
  return [opening(scene), ...plot(scene)].map((paragraph) => tell.say(paragraph)).join("\n");
};
