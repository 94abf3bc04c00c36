// What the registry proxy costs and wins. The redirect changes /etc/hosts and the NAT table, so this
// runs proxy_inside.ts in a network and an /etc of its own.

import { denoInOwnNetwork, missingForOwnNetwork } from "../support/own_network.ts";
import { missingForBinary, missingForWorker } from "../support/requirements.ts";
import type { Finding, Measurement, RunOptions } from "./measurement.ts";

export const proxy: Measurement = {
  name: "proxy",
  title: "The registry proxy",
  missing: () => [...missingForOwnNetwork(), ...missingForWorker(), ...missingForBinary()],
  async run({ quick }: RunOptions): Promise<Finding> {
    const inside = new URL("./proxy_inside.ts", import.meta.url).pathname;
    const args = ["run", "--allow-all", inside, ...(quick ? ["--quick"] : [])];
    const { success, stdout } = await denoInOwnNetwork(args, { stdout: "piped", stderr: "inherit" }).output();
    if (!success) throw new Error("the measurement in its own network failed, see above");
    return JSON.parse(new TextDecoder().decode(stdout));
  },
};
