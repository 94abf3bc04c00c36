// Runs the runtime contract on the fake runtimes, and on real ones where there are any.
import { missingForCurrentEngine, startCurrentEngine } from "../e2e/current_engine.ts";
import { missingPrograms } from "../e2e/engine.ts";
import { testIfPossible } from "../support/requirements.ts";
import { containerdFixture, fakeContainerdFixture, fakeFixture, realFixture } from "./fixtures.ts";
import { runtimeContract } from "./runtime_contract.ts";

runtimeContract("DockerRuntime on the fake Engine, classic store,", () => fakeFixture("classic"));

runtimeContract("DockerRuntime on the fake Engine, containerd store,", () => fakeFixture("containerd"));

runtimeContract("ContainerdRuntime on the fake containerd", fakeContainerdFixture);

const missing = [...missingPrograms(), ...(Deno.uid() === 0 ? [] : ["root"])];
runtimeContract(
  "DockerRuntime on a real Docker Engine",
  () => realFixture(),
  (name, fn) => testIfPossible(name, missing, fn),
);

runtimeContract(
  "DockerRuntime on a current Docker Engine with the containerd image store",
  () => realFixture(startCurrentEngine),
  (name, fn) => testIfPossible(name, [...missing, ...missingForCurrentEngine()], fn),
);

runtimeContract(
  "ContainerdRuntime on a real containerd",
  containerdFixture,
  (name, fn) => testIfPossible(name, missing, fn),
);
