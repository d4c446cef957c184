/**
 * The sections of INFO: Redis's names, and what they are worth here. A field whose thing does not
 * exist here is 0 where monitoring tools read it, and left out otherwise.
 */
import { PARTITIONS_DEFAULT } from "../../../runtime/base/limits.ts";
import { TIME_UNITS_A_US } from "../../worker/worker-stats.ts";
import type { Client } from "../client.ts";
import { REDIS_VERSION } from "./connection.ts";
import type { InfoTotals } from "./info-part.ts";

/** What sections are written from. */
export interface InfoSource {
  readonly client: Client;
  readonly totals: InfoTotals;
}

type Fields = readonly (readonly [string, string | number])[];
type Section = (source: InfoSource) => Fields;

const server: Section = ({ client }) => {
  const { worker } = client;
  const { process, config } = worker;
  const uptime = Math.max(0, Math.floor((worker.nowMs - worker.startedAtMs) / 1000));
  const port = client.isDirect
    ? (worker.slots.owners[worker.index]?.port ?? 0)
    : config.self.ports.gateway;
  return [
    ["redis_version", REDIS_VERSION],
    ["server_name", "coterie"],
    ["coterie_version", worker.version],
    ["redis_git_sha1", "00000000"],
    ["redis_git_dirty", 0],
    ["redis_build_id", "0"],
    ["redis_mode", client.isDirect ? "cluster" : "standalone"],
    ["os", `${process.platform} ${process.arch}`],
    ["arch_bits", 64],
    ["monotonic_clock", "POSIX clock_gettime"],
    ["multiplexing_api", "libuv"],
    ["gcc_version", "0.0.0"],
    ["node_version", process.runtime],
    ["process_id", process.pid],
    ["process_supervised", "no"],
    ["run_id", worker.nodeId.padEnd(40, "0")],
    ["tcp_port", port],
    ["server_time_usec", worker.nowMs * 1000],
    ["uptime_in_seconds", uptime],
    ["uptime_in_days", Math.floor(uptime / 86_400)],
    ["hz", 10],
    ["configured_hz", 10],
    ["lru_clock", Math.floor(worker.nowMs / 1000) % 2 ** 24],
    ["executable", process.executable],
    ["config_file", ""],
    ["io_threads_active", config.workers > 1 ? 1 : 0],
    ["coterie_node_id", worker.nodeId],
    ["coterie_workers", config.workers],
    ["coterie_partitions", config.keyspaces[0]?.partitions ?? PARTITIONS_DEFAULT],
  ];
};

const clients: Section = ({ client, totals }) => [
  ["connected_clients", totals.sums.clients],
  ["cluster_connections", 0],
  ["maxclients", client.worker.parameters.find("maxclients")?.get() ?? 0],
  ["client_recent_max_input_buffer", totals.maxInput],
  ["client_recent_max_output_buffer", totals.maxOutput],
  ["blocked_clients", 0],
  ["tracking_clients", 0],
  ["clients_in_timeout_table", 0],
  ["total_blocking_keys", 0],
  ["total_blocking_keys_on_nokey", 0],
];

const memory: Section = ({ client, totals }) => {
  const { process, config, parameters } = client.worker;
  const used = totals.sums.memoryBytes;
  // The sum of the workers' peaks, each when it was.
  const peak = totals.sums.memoryPeakBytes;
  const rss = process.rssBytes();
  const limit = Number(parameters.find("maxmemory")?.get() ?? config.memory.bytesMax);
  const overhead = Math.max(0, rss - used);
  return [
    ["used_memory", used],
    ["used_memory_human", human(used)],
    ["used_memory_rss", rss],
    ["used_memory_rss_human", human(rss)],
    ["used_memory_peak", peak],
    ["used_memory_peak_human", human(peak)],
    ["used_memory_peak_perc", `${((used / Math.max(1, peak)) * 100).toFixed(2)}%`],
    ["used_memory_overhead", 0],
    ["used_memory_startup", 0],
    ["used_memory_dataset", used],
    ["used_memory_dataset_perc", "100.00%"],
    ["allocator_allocated", used],
    ["allocator_active", used],
    ["allocator_resident", used],
    ["total_system_memory", process.machineMemoryBytes],
    ["total_system_memory_human", human(process.machineMemoryBytes)],
    ["used_memory_lua", 0],
    ["used_memory_lua_human", human(0)],
    ["used_memory_scripts", 0],
    ["used_memory_scripts_human", human(0)],
    ["number_of_cached_scripts", 0],
    ["number_of_functions", 0],
    ["number_of_libraries", 0],
    ["maxmemory", limit],
    ["maxmemory_human", human(limit)],
    ["maxmemory_policy", "noeviction"],
    ["rss_overhead_ratio", (rss / Math.max(1, used)).toFixed(2)],
    ["rss_overhead_bytes", overhead],
    ["mem_fragmentation_ratio", (rss / Math.max(1, used)).toFixed(2)],
    ["mem_fragmentation_bytes", overhead],
    ["mem_not_counted_for_evict", 0],
    ["mem_replication_backlog", 0],
    ["mem_clients_slaves", 0],
    ["mem_clients_normal", 0],
    ["mem_aof_buffer", 0],
    ["mem_allocator", "coterie-slabs"],
    ["active_defrag_running", 0],
    ["lazyfree_pending_objects", 0],
  ];
};

const persistence: Section = ({ totals }) => {
  const { sums } = totals;
  const isRunning = sums.snapshotsRunning > 0 ? 1 : 0;
  return [
    ["loading", 0],
    ["async_loading", 0],
    ["current_save_keys_processed", 0],
    ["current_save_keys_total", 0],
    ["rdb_changes_since_last_save", sums.opsSinceSnapshot],
    ["rdb_bgsave_in_progress", isRunning],
    ["rdb_last_save_time", Math.floor(totals.lastSnapshotAtMs / 1000)],
    ["rdb_last_bgsave_status", "ok"],
    ["rdb_last_bgsave_time_sec", -1],
    ["rdb_current_bgsave_time_sec", -1],
    ["rdb_saves", sums.snapshotsTaken],
    ["rdb_last_cow_size", 0],
    ["aof_enabled", 1],
    ["aof_rewrite_in_progress", 0],
    ["aof_rewrite_scheduled", 0],
    ["aof_last_rewrite_time_sec", -1],
    ["aof_current_rewrite_time_sec", -1],
    ["aof_last_bgrewrite_status", "ok"],
    ["aof_last_write_status", totals.isRefusing ? "err" : "ok"],
    ["aof_last_cow_size", 0],
    ["aof_current_size", sums.journalBytes],
    ["aof_base_size", 0],
    ["aof_pending_rewrite", 0],
    ["aof_buffer_length", 0],
  ];
};

const stats: Section = ({ totals }) => {
  const { sums } = totals;
  return [
    ["total_connections_received", sums.connections],
    ["total_commands_processed", sums.commands],
    ["instantaneous_ops_per_sec", Math.round(sums.opsPerSecond)],
    ["total_net_input_bytes", sums.bytesIn],
    ["total_net_output_bytes", sums.bytesOut],
    ["total_net_repl_input_bytes", 0],
    ["total_net_repl_output_bytes", 0],
    ["instantaneous_input_kbps", sums.inputKb.toFixed(2)],
    ["instantaneous_output_kbps", sums.outputKb.toFixed(2)],
    ["rejected_connections", sums.rejectedConnections],
    ["sync_full", 0],
    ["sync_partial_ok", 0],
    ["sync_partial_err", 0],
    ["expired_keys", sums.expiredKeys],
    ["expired_stale_perc", "0.00"],
    ["expired_time_cap_reached_count", 0],
    ["evicted_keys", 0],
    ["evicted_clients", 0],
    ["keyspace_hits", sums.keyspaceHits],
    ["keyspace_misses", sums.keyspaceMisses],
    ["pubsub_channels", 0],
    ["pubsub_patterns", 0],
    ["pubsubshard_channels", 0],
    ["latest_fork_usec", 0],
    ["total_forks", 0],
    ["migrate_cached_sockets", 0],
    ["slave_expires_tracked_keys", 0],
    ["active_defrag_hits", 0],
    ["active_defrag_misses", 0],
    ["active_defrag_key_hits", 0],
    ["active_defrag_key_misses", 0],
    ["tracking_total_keys", 0],
    ["tracking_total_items", 0],
    ["tracking_total_prefixes", 0],
    ["unexpected_error_replies", 0],
    ["total_error_replies", sums.errorReplies],
    ["acl_access_denied_auth", sums.deniedAuths],
    ["acl_access_denied_cmd", 0],
    ["acl_access_denied_key", 0],
    ["acl_access_denied_channel", 0],
    ["coterie_auth_lockouts", sums.lockouts],
    ["eventloop_cycles", sums.turns],
    ["eventloop_duration_sum", Math.round(sums.turnMs * 1000)],
    ["coterie_longest_turn_usec", Math.round(totals.longestTurnMs * 1000)],
  ];
};

const replication: Section = ({ client }) => [
  ["role", "master"],
  ["connected_slaves", 0],
  ["master_failover_state", "no-failover"],
  ["master_replid", client.worker.nodeId.padEnd(40, "0")],
  ["master_replid2", "0".repeat(40)],
  ["master_repl_offset", 0],
  ["second_repl_offset", -1],
  ["repl_backlog_active", 0],
  ["repl_backlog_size", 0],
  ["repl_backlog_first_byte_offset", 0],
  ["repl_backlog_histlen", 0],
];

const cpu: Section = ({ client }) => {
  const { user, system } = client.worker.process.cpuMicroseconds();
  return [
    ["used_cpu_sys", (system / 1e6).toFixed(6)],
    ["used_cpu_user", (user / 1e6).toFixed(6)],
    ["used_cpu_sys_children", "0.000000"],
    ["used_cpu_user_children", "0.000000"],
  ];
};

const commandStats: Section = ({ totals }) =>
  [...totals.commands].map(([name, { calls, microseconds, rejected, failed }]) => {
    const each = (calls === 0 ? 0 : microseconds / calls).toFixed(2);
    const times = `calls=${calls},usec=${Math.round(microseconds)},usec_per_call=${each}`;
    return [`cmdstat_${name}`, `${times},rejected_calls=${rejected},failed_calls=${failed}`];
  });

const errorStats: Section = ({ totals }) =>
  [...totals.errors].map(([word, count]) => [`errorstat_${word}`, `count=${count}`]);

const latencyStats: Section = ({ totals }) =>
  [...totals.commands]
    .filter(([, { latency }]) => latency.count > 0)
    .map(([name, { latency }]) => {
      const at = (share: number) => (latency.percentile(share) / TIME_UNITS_A_US).toFixed(3);
      const text = `p50=${at(0.5)},p99=${at(0.99)},p99.9=${at(0.999)}`;
      return [`latency_percentiles_usec_${name}`, text];
    });

const cluster: Section = ({ client }) => [["cluster_enabled", client.isDirect ? 1 : 0]];

const keyspace: Section = ({ totals }) =>
  totals.keys
    .map(([keys, expires], index) => ({ keys, expires, index }))
    .filter(({ keys }) => keys > 0)
    .map(({ keys, expires, index }) => [`db${index}`, `keys=${keys},expires=${expires},avg_ttl=0`]);

/** In Redis's order: name, title, section, and whether INFO alone shows it. */
export const SECTIONS: readonly (readonly [string, string, Section, boolean])[] = [
  ["server", "Server", server, true],
  ["clients", "Clients", clients, true],
  ["memory", "Memory", memory, true],
  ["persistence", "Persistence", persistence, true],
  ["stats", "Stats", stats, true],
  ["replication", "Replication", replication, true],
  ["cpu", "CPU", cpu, true],
  ["modules", "Modules", () => [], true],
  ["commandstats", "Commandstats", commandStats, false],
  ["errorstats", "Errorstats", errorStats, true],
  ["latencystats", "Latencystats", latencyStats, false],
  ["cluster", "Cluster", cluster, true],
  ["keyspace", "Keyspace", keyspace, true],
];

const UNITS = ["B", "K", "M", "G", "T", "P"];

/** Bytes as Redis shows them to people. */
export function human(bytes: number): string {
  let rest = bytes;
  let unit = 0;
  while (rest >= 1024 && unit < UNITS.length - 1) {
    rest /= 1024;
    unit++;
  }
  return unit === 0 ? `${rest}B` : `${rest.toFixed(2)}${UNITS[unit]}`;
}
