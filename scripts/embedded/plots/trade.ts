/** @file Plot: a chain of swaps that ends better, or funnier, than it began. */
import { neighbour } from "../cast.ts";
import { a } from "../english.ts";
import type { Plot } from "./plot.ts";

export const trade: Plot = ({ tell, hero, elder }) => {
  const [one, two, three] = tell.sample(
    ["button", "feather", "rope", "bell", "basket", "hat", "candle", "flower", "jar of honey", "bag of nuts", "shell", "mirror"],
    3,
  );
  const helper = neighbour(tell);
  const other = neighbour(tell);
  const last = tell.pick([
    ["a small brown dog", "who had no home", "It was the best friend that anyone could have"],
    ["an old drum", "which nobody wanted", "From then on there was music every evening"],
    ["a box with a hole", "which was very light", "In the box was a tiny kitten"],
    ["a dry little stick", "which looked like nothing", "In spring it became a tree full of cherries"],
  ] as const);
  return [
    `${elder.Name} gave ${hero.name} ${a(one)} and said, "Go to the market and see what you can get for it."`,
    `On the way ${hero.name} met ${helper.name}. "I need ${a(one)}," said ${helper.name}. "I will give you ${a(two)} for it." ${hero.Name} agreed. Now ${hero.he} had ${a(two)}.`,
    `At the market ${other.noun === helper.noun ? "an old woman" : other.name} said, "What a fine ${two}! Will you take ${a(three)} for it?" "Why not?" said ${hero.name}. Now ${hero.he} had ${a(three)}.`,
    `At the end of the day ${hero.name} met a (poor|kind|tired) man, and gave him the ${three} for ${last[0]}, ${last[1]}. ${elder.Name} ${tell.pick(["laughed", "shook the head and smiled", "looked surprised"])}. "${tell.pick(["Was that a good trade", "Is that all"])}?" ${elder.he} asked. It was! ${last[2]}.`,
  ];
};
