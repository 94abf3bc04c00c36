// Which room of lib/ is of which kind; layering_test.ts and purity.ts hold each to what its kind may do.
// A file that stands in neither list is a conductor: it may call thinkers and doors.

/** Data in, data out: no Deno, no network, no clock, no chance. */
export const THINKERS: ReadonlySet<string> = new Set([
  "lib/attempts.ts",
  "lib/cli.ts",
  "lib/config_schema.ts",
  "lib/config_values.ts",
  "lib/config_yaml.ts",
  "lib/errors.ts",
  "lib/exclude.ts",
  "lib/image_ref.ts",
  "lib/mirror_rests.ts",
  "lib/outcome.ts",
  "lib/pod.ts",
  "lib/pod_scan.ts",
  "lib/provenance.ts",
  "lib/registry_map.ts",
  "lib/reminders.ts",
  "lib/repair_plan.ts",
  "lib/rhythm.ts",
  "lib/runtime/docker_events.ts",
  "lib/runtime/docker_failure.ts",
  "lib/yaml_position.ts",
]);

/** Each opens onto one outside thing. */
export const DOORS: ReadonlySet<string> = new Set([
  "lib/auth_file.ts",
  "lib/client_certificate.ts",
  "lib/config_files.ts",
  "lib/http.ts",
  "lib/kubelet.ts",
  "lib/ledger.ts",
  "lib/log.ts",
  "lib/runtime/docker.ts",
  "lib/runtime/docker_connection.ts",
  "lib/runtime/docker_request.ts",
  "lib/runtime/lines.ts",
  "lib/runtime/pull_stream.ts",
  "lib/runtime/runtime.ts",
  "lib/runtime/watchdog.ts",
  "lib/sd_notify.ts",
  "lib/version.ts",
]);
