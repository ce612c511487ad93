/** @file Plot: things vanish every night; the hero keeps watch and finds a thief who has a reason. */
import { someAnimal } from "../cast.ts";
import { a } from "../english.ts";
import type { Plot } from "./plot.ts";

export const mystery: Plot = ({ tell, hero, friend }) => {
  const cases = [
    ["apples", "hedgehog", "I have three hungry babies"],
    ["cookies", "mouse", "I did not find any cheese this week"],
    ["socks", "squirrel", "My nest is so cold"],
    ["buttons", "crow", "They shine like stars, and I am so lonely"],
    ["carrots", "rabbit", "The snow has covered all the grass"],
    ["fish", "otter", "The river is frozen"],
    ["spoons", "monkey", "I wanted to make music with them"],
  ] as const;
  const [goods, thiefNoun, reason] = tell.pick(cases.filter(([, noun]) => noun !== hero.noun && noun !== friend.noun));
  const thief = someAnimal(tell, ({ noun }) => noun === thiefNoun);
  const clue = tell.pick(["small footprints on the floor", "a trail of crumbs", "a little hole in the fence", "an open window"]);
  return [
    `Something strange happened in ${hero.names} house. Every morning, some of the ${goods} were gone. "Who takes my ${goods}?" asked ${hero.name}.`,
    `${hero.Name} and ${friend.name} looked for clues. They found ${clue}. "Aha!" said ${friend.name}. "Tonight we will (stay awake|hide behind the door|watch)." So they sat in the dark and waited. They heard the clock: ten, eleven, twelve.`,
    `Then something moved. ${hero.Name} turned on the lamp. It was ${a(`${tell.pick(["small", "thin", "little"])} ${thief.noun}`)}! "Please do not be angry," said ${thief.name}. "${reason}."`,
    `${hero.Name} was not angry any more. "${tell.pick(["I would have given you some", "You only had to ask", "Next time, knock at the door"])}," ${hero.he} said, and gave ${thief.name} (a warm place by the stove|a full bag|something to eat). After that nothing was ever missing again, and ${thief.name} came to visit by the front door.`,
  ];
};
