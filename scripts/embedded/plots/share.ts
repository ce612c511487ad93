/** @file Plot: two want the same one thing, lose it by quarrelling, or keep it by sharing. */
import { a } from "../english.ts";
import { fineDay, type Plot } from "./plot.ts";

export const share: Plot = ({ tell, hero, friend, elder }) => {
  const [thing, loss, way] = tell.pick([
    ["cake", "fell on the ground", "cut it in two halves"],
    ["pear", "fell into the mud", "cut it in two halves"],
    ["pie", "fell on the floor", "cut it in two halves"],
    ["sled", "slid down the hill without them", "sat on it together"],
    ["swing", "broke on one side", "took turns"],
    ["drum", "got a hole", "took turns"],
    ["boat", "turned over in the water", "sat in it together"],
    ["blanket", "tore in the middle", "sat under it together"],
    ["umbrella", "flew away in the wind", "walked under it together"],
  ] as const);
  const quarrel = `"It is mine!" said ${hero.name}. "No, it is mine!" said ${friend.name}. They pulled and pulled`;
  const start = `${fineDay}, ${hero.name} and ${friend.name} (found|saw) ${a(thing)}. There was only one ${thing}, and both of them wanted it.`;
  if (tell.chance(0.5))
    return [
      start,
      `${quarrel} until the ${thing} ${loss}. Now (nobody had it|it was no good to anybody). They were (quiet|very quiet) for a while.`,
      `"I am sorry," said ${hero.name}. "I am sorry too," said ${friend.name}. ${tell.pick([`They went to ${hero.names} ${elder.noun}, who gave them a new ${thing}`, `They worked all afternoon and made a new ${thing}`])}. This time they ${way}, and (both|they both) were happy.`,
      tell.pick([
        "It is better to have half of something than all of nothing.",
        `"Sharing is more fun," said ${hero.name}.`,
        "And they never fought about it again.",
      ]),
    ];
  return [
    start,
    `${quarrel}, and they got (very|) angry. Then ${hero.names} ${elder.noun} came. "${tell.pick([`If you fight, nobody will have the ${thing}`, "Why do you fight? You are friends", "There is a better way"])}," ${elder.he} said.`,
    `${hero.Name} thought about it. "${friend.Name}, let us share," ${hero.he} said. ${friend.Name} (nodded|smiled). So they ${way}. ${tell.pick([`It was much more fun than to have the ${thing} alone.`, "Both of them were happy, and they laughed a lot.", `"This is much better," said ${friend.name}.`])}`,
  ];
};
