/** @file Plot: the hero helps a small animal in trouble, and the animal pays it back. */
import { someAnimal } from "../cast.ts";
import { a } from "../english.ts";
import type { Plot } from "./plot.ts";

export const rescue: Plot = ({ tell, hero }) => {
  const other = someAnimal(
    tell,
    ({ size, noun }) => size === 1 && noun !== hero.noun && noun !== "bee",
    tell.pick(["", "little", "small"]),
  );
  const [trouble, remedy] = tell.pick([
    ["was caught in a net", `cut the net, one string after the other`],
    [`had a thorn in ${other.his} foot`, "took the thorn out with great care"],
    ["lay in the snow and was very cold", `wrapped ${other.him} in a warm scarf`],
    ["was stuck in the mud", `pulled ${other.him} out with a long branch`],
    ["was hungry and weak", `gave ${other.him} some ${other.animal!.food} and fresh water`],
    ["sat in the rain and shook with cold", `held an umbrella over ${other.him} and took ${other.him} home`],
  ] as const);
  const [need, answer] = tell.pick([
    [
      `${hero.Name} lost the way in the fog`,
      `"Follow me," said a small voice. It was ${other.name}! ${other.He} knew every path and led ${hero.name} home`,
    ],
    [`${hero.Name} dropped ${hero.his} key in the tall grass`, `${other.Name} looked and looked between the leaves, and found the key`],
    [`${hero.Name} was alone and sad`, `There was a knock at the door. It was ${other.name}, who had brought a flower`],
    [
      `${hero.Name} did not wake up, and smoke came from the kitchen`,
      `${other.Name} ${other.animal!.sound[1]} at the window until ${hero.name} woke up and put out the fire`,
    ],
  ] as const);
  return [
    `One (cold|grey|windy|quiet) (day|morning|evening), ${hero.name} heard a (soft|weak|small) cry. (It came from the bushes|It came from behind a tree). There was ${a(other.name.slice("the ".length))}, who ${trouble}.`,
    `"Please help me!" said ${other.name}. "(Hold still|Do not be afraid|I will help you)," said ${hero.name}. ${hero.He} ${remedy}. "Thank you. I will never forget this," said ${other.name}. ${tell.pick([`${hero.Name} laughed. "You are so small. How could you help me?"`, `"You are welcome," said ${hero.name}.`])}`,
    `Some (weeks|days) later, ${need}. ${answer}. "${tell.pick(["You helped me, and now I help you", "I told you that I would never forget", "Nobody is too small to help"])}," said ${other.name}.`,
    tell.pick([
      "And that is how they became friends.",
      `${hero.Name} never laughed at small animals again.`,
      `From then on, ${hero.name} and ${other.name} met every week.`,
      "A good deed always comes back.",
    ]),
  ];
};
