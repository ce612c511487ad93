/** @file Plot: a letter goes out to somebody who is missed, and an answer comes back. */
import { numberWord } from "../english.ts";
import { weekdays } from "../lexicon.ts";
import type { Plot } from "./plot.ts";

export const letter: Plot = ({ tell, hero, elder }) => {
  const relative = tell.pick(
    ["grandmother", "grandfather", "aunt", "uncle", "cousin", "brother", "sister"].filter((noun) => noun !== elder.noun),
  );
  const where = tell.pick(["by the sea", "in the mountains", "in the city", "on an island", "on a farm"]);
  const day = tell.pick(weekdays);
  const [news, reply] = tell.pick([
    ["I lost a tooth today", "A new tooth will grow soon"],
    ["I can swim now", "I am so proud of you"],
    ["The apple tree is full of apples", "Please keep one apple for me"],
    ["We have a new kitten", "I will bring a ball for the kitten"],
    ["It is snowing, and I built a snowman", "Tell the snowman to wait for me"],
    ["I am a little sad without you", "I think of you every evening"],
  ] as const);
  return [
    `${hero.Name} missed ${hero.his} ${relative}, who lived far away ${where}. "You can write a letter," said ${elder.name}. So ${hero.name} took a pen and paper and sat down at the table.`,
    `"Dear ${relative}," ${hero.he} wrote. "${news}. Please come and see us soon. Love, ${hero.name}." ${tell.pick([`${hero.He} drew a small heart at the end.`, `${hero.He} put a pressed flower into the letter.`, `There was a little ink on ${hero.his} nose.`])} Then ${hero.he} took it to the postman.`,
    `${hero.Name} waited. One day went by, two days, ${numberWord(tell.between(3, 8))} days. Every morning ${hero.he} ran to the door. (Nothing|No letter) came. "The way is long. Be patient," said ${elder.name}.`,
    `On ${day} the postman (knocked|rang the bell). "A letter for ${hero.name}!" he called. ${hero.Name} opened it with (shaking|quick) hands. "Dear ${hero.name}," it said. "${reply}. I will come on ${tell.pick(weekdays.filter((other) => other !== day))}." ${hero.Name} ${tell.pick(["jumped for joy", "danced through the kitchen", "read it ten times"])}.`,
  ];
};
