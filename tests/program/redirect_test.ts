// Tests gilly-redirect: what it puts in place, takes away, refuses, and leaves behind when it is
// killed. Docker is not needed; tests/e2e/redirect_test.ts has the real one.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { inOwnNetwork, missingForOwnNetwork } from "../support/own_network.ts";
import { HELPER, HOSTS, leadsToProxy, redirectTest, sh, stateOfHost } from "../support/redirect_bench.ts";
import { GILLY, missingForProgram } from "../support/requirements.ts";

inOwnNetwork(import.meta.url, [...missingForOwnNetwork(), ...missingForProgram()], () => {
  redirectTest("up leads the hosts to the proxy, once; down leaves everything as it was", async (bench) => {
    const before = await stateOfHost();
    assertEquals((await bench.redirect("prepare")).out, `made ${bench.folder}/proxy.crt for gcr.io quay.io`);
    const prepared = await stateOfHost();
    assertEquals(prepared, before);
    await bench.startProxy();
    const up = await bench.redirect("up");
    assertEquals(up, { code: 0, out: `gcr.io quay.io lead to the proxy at 127.0.0.1:${bench.port}`, err: "" });
    assert(await leadsToProxy());
    const first = await stateOfHost();
    assertEquals(
      await Deno.readTextFile("/etc/hosts"),
      `# BEGIN gilly\n169.254.77.7 gcr.io quay.io # gilly\n# END gilly\n${HOSTS}`,
    );
    assertEquals((await bench.redirect("up")).code, 0);
    assertEquals(await stateOfHost(), first);
    assertEquals((await bench.redirect("status")).code, 0);
    assertEquals(
      (await bench.redirect("down")).out,
      "removed the redirect: Docker asks the registries themselves again",
    );
    assertEquals(await stateOfHost(), before);
    assertEquals(await bench.redirect("down"), { code: 0, out: "", err: "" });
    assertEquals((await bench.redirect("status")).code, 1);
  });

  redirectTest("on a host with nft alone, its table leads the hosts to the proxy, and is removed", async (bench) => {
    const alone = (action: string) =>
      sh(`unshare --mount sh -c '
        mount --bind /dev/null "$(readlink -f "$(command -v iptables)")"
        exec ${HELPER} ${action} --config ${bench.folder}/config.yaml --gilly ${GILLY}'`);
    const before = (await sh("nft list ruleset")).out;
    await bench.redirect("prepare");
    await bench.startProxy();
    assertEquals((await alone("up")).err, "");
    assert(await leadsToProxy());
    const first = await sh("nft list table ip gilly");
    assertStringIncludes(first.out, `ip daddr 169.254.77.7 tcp dport 443 redirect to :${bench.port}`);
    assertEquals((await alone("up")).code, 0);
    assertEquals(await sh("nft list table ip gilly"), first);
    assertEquals((await alone("down")).code, 0);
    assertEquals((await sh("nft list ruleset")).out, before);
  });

  redirectTest("folders of Docker that were there before stay", async (bench) => {
    await Deno.mkdir("/etc/docker/certs.d/quay.io", { recursive: true });
    await Deno.writeTextFile("/etc/docker/certs.d/quay.io/ca.crt", "not ours\n");
    const before = await stateOfHost();
    await bench.redirect("prepare");
    await bench.startProxy();
    assertEquals((await bench.redirect("up")).code, 0);
    assertEquals((await bench.redirect("down")).code, 0);
    assertEquals(await stateOfHost(), before);
    await Deno.remove("/etc/docker", { recursive: true });
  });

  redirectTest(
    "a hosts file that is a mount point is written in place, also after a kill in the middle",
    async (bench) => {
      await sh(`printf '%s' "${HOSTS}" >${bench.folder}/hosts && mount --bind ${bench.folder}/hosts /etc/hosts`);
      try {
        await bench.redirect("prepare");
        await bench.startProxy();
        assertEquals((await bench.redirect("up")).code, 0);
        assert(await leadsToProxy());
        // What a kill between the first and the last byte leaves.
        await sh("mkdir -p /var/lib/gilly-redirect && cp /etc/hosts /var/lib/gilly-redirect/hosts && : >/etc/hosts");
        assertEquals((await bench.redirect("down")).code, 0);
        assertEquals(await Deno.readTextFile("/etc/hosts"), HOSTS);
      } finally {
        await sh("umount /etc/hosts");
      }
    },
  );

  const refusals: readonly (readonly [what: string, before: string, after: string, reason: RegExp])[] = [
    [
      "a line of somebody else for one of the hosts",
      "echo '10.0.0.1 quay.io' >/etc/hosts",
      ":",
      /^gilly-redirect: \/etc\/hosts has '10\.0\.0\.1 quay\.io' already: remove that line, or leave quay\.io out of proxy\.hosts in \S+config\.yaml$/,
    ],
    [
      "a hosts file that is a symbolic link",
      "mv /etc/hosts /etc/hosts.real && ln -s hosts.real /etc/hosts",
      "rm /etc/hosts && mv /etc/hosts.real /etc/hosts",
      /^gilly-redirect: \/etc\/hosts is a symbolic link to hosts\.real, which another program may own: make it a file$/,
    ],
    [
      "no way to the address",
      "ip route del default",
      "ip route add default via 192.0.2.1",
      /^gilly-redirect: 169\.254\.77\.7:443 does not lead to the proxy, although iptables redirects it: see 'ip route get 169\.254\.77\.7', which must have a route/,
    ],
  ];
  for (const [what, before, after, reason] of refusals) {
    redirectTest(`${what} is refused, and nothing is changed`, async (bench) => {
      await bench.redirect("prepare");
      await bench.startProxy();
      assertEquals((await sh(before)).err, "");
      try {
        const state = await stateOfHost();
        const { code, out, err } = await bench.redirect("up");
        assertEquals([code, out], [1, ""]);
        assertMatch(err, reason);
        assertEquals(await stateOfHost(), state);
      } finally {
        await sh(after);
      }
    });
  }

  for (const tool of ["openssl", "iptables"]) {
    redirectTest(`a host without ${tool} is refused, and nothing is changed`, async (bench) => {
      await bench.redirect("prepare");
      await bench.startProxy();
      const state = await stateOfHost();
      const { code, err } = await sh(
        `unshare --mount sh -c '
           for name in ${tool} nft; do
             file=$(command -v $name) && mount --bind /dev/null "$(readlink -f "$file")"
           done
           exec ${HELPER} up --config ${bench.folder}/config.yaml --gilly ${GILLY}'`,
      );
      assertEquals(code, 1);
      assertMatch(
        err,
        tool === "openssl" ? /: openssl is not installed, / : /: neither iptables nor nft is installed, /,
      );
      assertEquals(await stateOfHost(), state);
    });
  }

  redirectTest("a proxy that does not run is refused, and a taken port names its holder", async (bench) => {
    await bench.redirect("prepare");
    const { code, err } = await bench.redirect("up");
    assertEquals(code, 1);
    assertMatch(
      err,
      /^gilly-redirect: the proxy does not answer at 127\.0\.0\.1:\d+: systemctl status gilly-proxy; journalctl -u gilly-proxy$/,
    );
    using _taken = Deno.listen({ hostname: "127.0.0.1", port: bench.port });
    const taken = await bench.redirect("prepare");
    assertEquals(taken.code, 1);
    assertMatch(
      taken.err,
      new RegExp(
        `^gilly-redirect: port ${bench.port} is taken by "deno\\S*" \\(pid=${Deno.pid}\\): stop that program, or set proxy\\.listen in `,
      ),
    );
  });

  redirectTest("other hosts in the config get a new certificate, which the running proxy takes over", async (bench) => {
    await bench.redirect("prepare");
    await bench.startProxy();
    assertEquals((await bench.redirect("up")).code, 0);
    await bench.configure(", hosts: [gcr.io, registry.k8s.io]");
    const { code, out, err } = await bench.redirect("up");
    assertEquals([code, err, out.split("\n").at(-1)], [
      0,
      "",
      `gcr.io registry.k8s.io lead to the proxy at 127.0.0.1:${bench.port}`,
    ]);
    assert(await leadsToProxy());
    const trusted = [...Deno.readDirSync("/etc/docker/certs.d")].map(({ name }) => name).sort();
    assertEquals(trusted.filter((host) => host !== "quay.io"), ["gcr.io", "registry.k8s.io"]);
  });

  redirectTest("plan says what up would do and how docker.io comes along, and changes nothing", async (bench) => {
    const before = await stateOfHost();
    const { code, out } = await bench.redirect("plan");
    assertEquals(code, 0);
    assertEquals(
      out,
      `# For Docker alone: ${bench.folder}/proxy.crt, a copy of it for each host
/etc/docker/certs.d/gcr.io/gilly.crt
/etc/docker/certs.d/quay.io/gilly.crt

# What is sent to 169.254.77.7:443 reaches the proxy
iptables -t nat -I OUTPUT 1 -d 169.254.77.7/32 -p tcp --dport 443 -m comment --comment gilly -j REDIRECT --to-ports ${bench.port}

# At the top of /etc/hosts
# BEGIN gilly
169.254.77.7 gcr.io quay.io # gilly
# END gilly

# docker.io cannot be redirected. For its images, add this to /etc/docker/daemon.json
{"registry-mirrors": ["https://127.0.0.1:${bench.port}"]}
# and run
systemctl reload docker
# The way back: set "registry-mirrors": [] and reload again; to remove the key is not enough.
# A --registry-mirror on Docker's command line rules that key out.`,
    );
    assertEquals(await stateOfHost(), before);
  });

  redirectTest("a worker with containerd is not redirected, but gets the proxy's certificate", async (bench) => {
    const config = `${bench.folder}/config.yaml`;
    const text = await Deno.readTextFile(config);
    await Deno.writeTextFile(config, text.replace(/^docker: .*$/m, `containerd: {socket: ${bench.folder}/c.sock}`));
    assertEquals((await bench.redirect("prepare")).code, 0);
    await bench.startProxy();
    const before = await stateOfHost();
    for (const action of ["up", "plan"]) {
      const { code, out, err } = await bench.redirect(action);
      assertEquals({ code, out }, { code: 1, out: "" }, action);
      assertMatch(
        err,
        /names containerd, and the redirect is for Docker: gilly export containerd --via-proxy --output led/,
      );
    }
    assertEquals(await stateOfHost(), before);
  });
});
