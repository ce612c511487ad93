/** @file Plot: a stray animal is taken in, first makes trouble, then proves its worth. */
import { fineDay, type Plot } from "./plot.ts";

export const pet: Plot = ({ tell, hero, elder }) => {
  const animals = [
    ["kitten", "climbed the curtains and pushed over the milk", "caught the mice that ate the flour"],
    ["puppy", "chewed the shoes and dug up the roses", "barked when a thief came to the door"],
    ["goat", "ate the hat and the newspaper", "gave sweet milk every morning"],
    ["donkey", "brayed in the middle of the night", "carried the heavy wood up the hill"],
    ["parrot", "said rude words at dinner", "called for help when the kitchen was on fire"],
    ["duckling", "made the whole kitchen wet", "laid a big egg every morning when it was grown"],
  ] as const;
  const [animal, mischief, deed] = tell.pick(animals.filter(([noun]) => noun !== hero.noun && noun !== hero.animal?.young));
  const name = tell.pick(["Spot", "Noodle", "Captain", "Sugar", "Cloud", "Pickle"]);
  return [
    `${fineDay}, ${hero.name} heard a sound (behind the house|at the door|in the ditch). It was a (wet|thin|dirty|hungry) little ${animal}. "It has no home. May I keep it?" asked ${hero.name}. "${tell.pick(["It will be a lot of work", "Only if you take care of it", "We will try it for a week"])}," said ${elder.name}.`,
    `${hero.Name} called the ${animal} ${name}. But ${name} was trouble! It ${mischief}. "${tell.pick(["This cannot go on", "Enough", "That animal must go"])}!" said ${elder.name}. ${hero.Name} begged, "Please, ${name} will learn!"`,
    `Every day ${hero.name} fed ${name}, cleaned up after it and taught it (patiently|with kind words). And slowly things changed. Then something happened: ${name} ${deed}.`,
    `"${tell.pick(["Good that we kept it", "Now I am glad that you asked", "I was wrong about you"])}," said ${elder.name}, and gave ${name} ${tell.pick(["the best place by the stove", "a red ribbon", "a whole sausage"])}. ${tell.pick([`${hero.Name} hugged ${name} and smiled.`, `From then on, ${name} belonged to the family.`])}`,
  ];
};
