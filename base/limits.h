// Every bound in the system, by name, with its reason. Each has a gauge that shows how full it is,
// and a test at the limit and one above it.
//
// Threads: constants.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/units.h"

namespace tallymill::limits {

using namespace literals;

// One job with its inputs. A 400 MP photograph is about 130 MB; above this the client is told
// E_TOO_BIG.
inline constexpr Bytes max_job_bytes = 256_MiB;

// What one worker may offer to hold. 4,096 no-op jobs keep a lane busy over one round trip at the
// highest rate measured; more would only move the queue out of the front's sight.
inline constexpr struct {
  Credits jobs{4096};
  Bytes bytes = 1024_MiB;
} max_places_per_worker;

// ---- the bus: what one message may be (bus/envelope.h; docs/protocol.md, "Bounds") ----

// Lists and maps inside one another. Ours need 5; a parser of a peer may recurse.
inline constexpr int msgpack_depth = 32;

// One header map. The largest real one, a tell with header_list verdicts, is about 40 KiB.
inline constexpr Bytes header_bytes = 64_KiB;

// The params of one message: parameters, not payload; that is what blobs are for.
inline constexpr Bytes params_bytes = 1_MiB;

// Messages in one envelope. At 128 the cost per message has flattened; 2,048 leaves room for
// senders that were paused, and keeps one envelope's work under a few milliseconds.
inline constexpr std::size_t batch_jobs = 2048;

// The header frame of a batch: 2 KiB a message at batch_jobs.
inline constexpr Bytes header_frame_bytes = 4_MiB;

// Any frame. An inline file may be this large; a larger one goes into the blob store.
inline constexpr Bytes frame_bytes = 8_MiB;

// What libzmq lets through (ZMQ_MAXMSGSIZE): above frame_bytes, so that a frame a little too big is
// answered E_TOO_BIG, and only one far too big costs the peer its connection.
inline constexpr Bytes max_zmq_frame_bytes = 9_MiB;

// All frames of an envelope: a batch of the largest photographs is submitted in several.
inline constexpr Bytes envelope_bytes = 64_MiB;

// Blob frames of one message: inputs or results of one job.
inline constexpr std::size_t item_blobs = 64;

// Blob frames of an envelope: one inline input for each job of a full batch, and some with more.
inline constexpr std::size_t batch_blobs = 4096;

// A sender closes its envelope when it reaches this: by then batching has paid.
inline constexpr Bytes batch_bytes = 1_MiB;

// Keys of one map in a header. Ours have at most 15; the rest is room for newer peers.
inline constexpr std::uint32_t header_keys = 64;

// Elements of one list in a header: verdicts of a tell, ids of a watch. A sender with more to say
// says it in several messages.
inline constexpr std::uint32_t header_list = 1024;

// Messages that one socket's callback takes in a turn of the loop, so that no socket starves the
// others or the timers.
inline constexpr int messages_per_turn = 256;

// ---- sockets (bus/endpoints.cc), in messages of a peer and in time ----

// A lane never holds more than the places at its worker, a message a place; twice that, so that a
// send to a living worker never finds the queue full.
inline constexpr int lane_queue = 8192;
// Results of a worker: places and unsettled together, each once again when the front asks.
inline constexpr int results_queue = 16'384;
// What one client may have lying at the front's door, in envelopes; the rest stays in its kernel
// buffers and its own queue.
inline constexpr int client_in_queue = 64;
// Answers and events that wait for one slow client. Beyond it the front counts them and the client
// learns of the gap by its sequence numbers.
inline constexpr int client_out_queue = 4096;
// What libzmq may hold for one client that is slow to read, and for all of them: above it their
// answers are lost, and their ends told as a gap. A piece of a blob is refused before that.
inline constexpr Bytes client_out_bytes = 16_MiB;
inline constexpr Bytes clients_out_bytes = 256_MiB;
// What each may have of it in any case.
inline constexpr Bytes client_out_share = 1_MiB;
// Beats, hop events and tells: a second's worth at the highest rate measured.
inline constexpr int control_queue = 16'384;

// ZMTP's own heartbeat finds dead hosts and cut cables, nothing else: leases judge workers. Above
// 10 s, so that a process stopped for some seconds keeps its connections and its lanes.
inline constexpr std::chrono::milliseconds zmtp_heartbeat{5'000};
inline constexpr std::chrono::milliseconds zmtp_timeout{15'000};
// A connection that has not said what it is by then is closed: silent ones would use up the fds.
inline constexpr std::chrono::milliseconds handshake{5'000};
// From the first attempt to the slowest; a restarted front is found within the latter.
inline constexpr std::chrono::milliseconds reconnect_first{20};
inline constexpr std::chrono::milliseconds reconnect_slowest{250};
// How long a closing socket may still write what it was given.
inline constexpr std::chrono::milliseconds linger{1'000};
// Sockets of one process: a lane needs three, and a handler thread has a lane to each worker of the
// next stage. Each costs 12 bytes from the start, used or not.
inline constexpr int sockets = 16'384;
// Files that a front or a worker wants to be allowed: for all those sockets and their connections.
inline constexpr std::size_t open_files = 65'536;

// Laser programs (stages/compute). The raster's sides and area: what a large-format bed takes at a
// fine pitch, and the largest image that is decoded at all; 50 MB at 1 bit a pixel.
inline constexpr int max_raster_side_pixels = 65'536;
inline constexpr std::int64_t max_raster_pixels = 400'000'000;
// Below 10 micrometres neighbouring pixel edges come too near to the micrometre that coordinates
// are rounded to, and to any beam; above 5 mm it is no raster.
inline constexpr double min_pixel_mm = 0.01;
inline constexpr double max_pixel_mm = 5;
// A dithered A4 at 254 dpi is about 25 MB; at 115,200 baud this limit is three hours of sending.
inline constexpr Bytes max_gcode_bytes = 128_MiB;
// What a program may burn when it is checked, counting a pixel again each time: bounds the time
// that hostile text can take to some seconds, and is 20 passes over the largest raster.
inline constexpr std::int64_t max_gcode_burnt_pixels = 8'000'000'000;
inline constexpr int max_laser_passes = 20;
inline constexpr double max_laser_mm_per_min = 100'000;  // galvanometers aside, nothing is faster
inline constexpr double max_overscan_mm = 50;

// A picture, judged by its header before a pixel is decoded: a bomb of a few hundred bytes can name
// gigabytes. 100 MP is above every camera sold in numbers; decoded it is 300 MB at worst.
inline constexpr std::int64_t max_image_pixels = 100'000'000;
inline constexpr int max_image_side = 30'000;
inline constexpr Bytes max_image_bytes = 64_MiB;

// Each scan of a progressive JPEG walks the whole picture again; encoders write about 10.
inline constexpr int max_jpeg_scans = 100;

// What libjpeg may hold for one picture. A progressive 4:4:4 picture of max_image_pixels keeps its
// coefficients: 600 MB.
inline constexpr Bytes max_jpeg_memory = 640_MiB;

// One metadata chunk of a PNG, inflated, and how many libpng may keep; colour profiles reach 3 MB.
inline constexpr Bytes max_png_chunk = 8_MiB;
inline constexpr int max_png_chunks = 128;

// Rows decoded at once. Most pictures fit, so that decoding and resizing are one span each; larger
// ones go through in strips of this size.
inline constexpr Bytes max_image_strip = 32_MiB;

// thumbs: how many sizes come from one decode, and the longest side of one.
inline constexpr int max_thumb_sizes = 16;
inline constexpr int max_thumb_side = 8'192;

// engrave: the dots of one engraving and its longest side. 36 million are 600 x 600 mm at 254 dpi.
// What its G-code may hold is max_gcode_bytes: a photograph makes about 5 bytes a dot.
inline constexpr std::int64_t max_engrave_dots = 36'000'000;
inline constexpr int max_engrave_side = 30'000;
inline constexpr double max_engrave_mm = 3'000;

// A kind of job as a worker announces it: form fields that a person fills in, not a data channel.
inline constexpr int max_kind_params = 64;
inline constexpr int max_kind_choices = 256;
inline constexpr int max_kind_route = 8;
inline constexpr int max_kind_text = 1'024;

// A configuration file. One that a person wrote has a hundredth of it.
inline constexpr Bytes config_bytes = 1_MiB;

// Processes that `up` starts for one stage, and kinds that the configuration names: an operator's
// typing error should not take the machine down.
inline constexpr std::int64_t workers_per_stage = 1024;
inline constexpr std::size_t configured_kinds = 1000;
// A socket's path ends at 107 bytes; this leaves 43 for its name.
inline constexpr std::size_t run_dir_bytes = 64;

// What the supervisor keeps of a child: the last lines it said (a job lost with its worker tells
// them), each cut at this length, and how many deaths are left on disk for the front to read.
inline constexpr std::size_t child_last_lines = 20;
inline constexpr std::size_t child_line_bytes = 4096;
inline constexpr std::size_t death_files = 256;

// Metrics (base/metrics.h). Label values are bounded by design; this holds when one is not, and
// keeps a process's export below a few megabytes.
inline constexpr std::size_t series_per_metric = 1000;

// What is read of one file of /proc: /proc/stat of a machine with 256 CPUs is 60 KB.
inline constexpr std::size_t proc_file_bytes = 1 << 20;
// A process gives its free memory back to the system after so long with less than this share of a
// CPU used: sooner would be in the way of the next burst, and 30 s after one it is to be back.
inline constexpr std::chrono::seconds heap_idle{5};
inline constexpr double heap_idle_cpus = 0.1;
// The message of a line of the log, and each of its fields, as they are written, with escapes: the
// whole line stays below child_line_bytes. What is above is cut.
inline constexpr std::size_t log_message_bytes = 2048;
inline constexpr std::size_t log_field_bytes = 256;
// A line that is said again and again, because something is away, comes this often.
inline constexpr std::chrono::seconds log_again{10};
// Lines about jobs that did not go well, which a thread writes at most in a second: a flood of them
// is in no job's way, and one file below holds three minutes of it.
inline constexpr std::int64_t job_lines_per_second = 200;

// The lines that `up` keeps in the data folder: in files of this size, of which the oldest goes.
// 64 MiB are 300,000 lines, weeks of a pipeline that is well, and are searched in a second.
inline constexpr std::uint64_t kept_log_file_bytes = 8 << 20;
inline constexpr std::size_t kept_log_files = 8;
// Lines on their way to a disk that is slow: what does not fit is lost and counted.
inline constexpr int kept_log_pipe_bytes = 1 << 20;

// ---- front ----

// Heartbeat of a worker, and how long after the last listing of a token its lease lapses: three
// beats may be late or lost. A dropped connection shortens the rest to one heartbeat.
inline constexpr std::chrono::milliseconds heartbeat{400};
inline constexpr std::chrono::milliseconds lease{1500};

// Work that a lane may have ahead of a worker's threads: covers a round trip of about 0.3 ms many
// times, and is short enough that priority still means something after a job was sent.
inline constexpr std::chrono::milliseconds lane_work_ahead{5};
// What a job is taken to need at a worker that has not run its kind yet.
inline constexpr std::chrono::milliseconds service_unmeasured{5};

// Jobs of a restart that are made ready in one turn of the loop: about 5 ms of work.
inline constexpr int released_per_tick = 10'000;
// Pieces of a ledger that were read at a start and not yet taken in by the loop.
inline constexpr std::size_t replay_pieces = 16;

// Hops of a route. Two are used; more is a chain that should be one stage.
inline constexpr int route_hops = 4;

// Kinds and stages that one front knows, and keeps for as long as it lives.
inline constexpr std::size_t kinds = 4096;
inline constexpr std::size_t stages = 256;

// A priority that waits while so many of higher ones are dispatched goes next, and a route likewise
// after so many of others: none starves under a flood.
inline constexpr int starvation_turn = 16;

// Jobs sent in one turn of the loop, so that a large backlog does not keep the loop from its
// sockets.
inline constexpr int dispatches_per_turn = 2048;

// A link between two workers over which jobs were handed back is shut that long (full jitter, from
// the first to the longest): a new worker's lane is connected within a millisecond here and a round
// trip elsewhere, and a cable that was mended is used again within seconds.
inline constexpr std::chrono::milliseconds link_backoff_base{10};
inline constexpr std::chrono::milliseconds link_backoff_cap{10'000};
// So often before the lane is given up and another is bound: a few come back whenever one is new,
// for jobs may overtake the word that it is there. So often in a row and the link is called broken.
inline constexpr int link_refusals = 4;
// What a link refused is forgotten when a job came through and none was handed back for so long.
inline constexpr std::chrono::seconds link_quiet{30};
// How often the operator is told of the same link.
inline constexpr std::chrono::seconds link_told{60};

// A worker that was not heard of for so long is struck off; should it come back, it is a new one.
inline constexpr std::chrono::seconds worker_forgotten{60};

// Attempts lost with their worker before a job is given up: a job that kills its workers.
inline constexpr std::int32_t charges = 3;
// Attempts lost without a charge (a broken link, a job that had not started) before they count
// after all: a worker on another host may die without anybody seeing it.
inline constexpr std::int32_t free_losses = 16;

// Defaults of admission; see config.
inline constexpr std::int64_t waiting_jobs = 2'000'000;
inline constexpr Bytes waiting_bytes = Bytes(std::int64_t{8} << 30);
inline constexpr std::int64_t jobs_per_client = 1'500'000;
// Finger-jointed boxes (stages/compute). The longest common sheet is 3,050 mm; with the narrowest
// finger a panel then has 12,000 of them and the drawing is about 1 MB.
inline constexpr double min_box_side_mm = 1;
inline constexpr double max_box_side_mm = 3'000;
inline constexpr double min_sheet_mm = 0.1;
inline constexpr double max_sheet_mm = 50;
inline constexpr double min_finger_mm = 1;     // narrower ones char through or break off
inline constexpr double max_joint_gap_mm = 2;  // play, kerf: any cutter's beam or bit for joints
// --- ledger ---

// One commit takes what gathered, up to here: more only makes each wait longer (at 2,000 rows the
// sync is a tenth of the commit).
inline constexpr int commit_entries = 2000;
inline constexpr Bytes commit_bytes = 1_MiB;

// Entries that wait for the committer. Ends and notes are bounded by the live jobs, so that
// admission keeps below this by counting; at 300,000 a second it is a wait of three seconds.
inline constexpr std::int64_t commit_queue = 1'000'000;

// The WAL is grown once to `wal_grown`; past `wal_checkpoint` it is copied into the database by a
// thread of its own; at `wal_full` the committer waits for that, so that the file stays at its
// size. A single commit may pass it by its own size.
inline constexpr Bytes wal_grown = 64_MiB;
inline constexpr Bytes wal_checkpoint = 32_MiB;
inline constexpr Bytes wal_rest = 4_MiB;  // what the committer copies itself: 10 ms
inline constexpr Bytes wal_full = 56_MiB;

// Room that a full disk still has for the ends of running jobs. As large as the WAL: a checkpoint
// of a log full of new jobs then fits, and the log, which has its place already, starts again.
inline constexpr Bytes ledger_reserve = 64_MiB;

// Below this much free space new jobs are refused; the reserve is made again above it.
inline constexpr Bytes disk_floor = 128_MiB;

// About 150 bytes each on disk. A new key is refused at the bound; none is dropped early.
inline constexpr std::int64_t idempotency_keys = 5'000'000;

// Jobs that one piece of retention removes: 20 ms during which nothing is committed.
inline constexpr int retire_piece = 2000;

// Files that one piece of blob collection looks at.
inline constexpr int collect_piece = 2000;

// Pieces of a blob of which no further one came for so long are removed: their sender gave up. One
// that goes on later begins anew.
inline constexpr std::chrono::hours unfinished_put{1};

// A question that reads longer is ended with E_DEADLINE: it holds up the others, and the WAL.
inline constexpr std::chrono::milliseconds ledger_read_time{500};

// Clients that the front remembers; the one that was silent longest is forgotten first.
inline constexpr std::size_t connections = 10'000;
inline constexpr std::size_t client_name_bytes = 64;
// Names of clients that one front counts by: of those that are connected or have live jobs.
inline constexpr std::size_t clients = 100'000;
// Single jobs that one connection may watch; all jobs of its client cost nothing.
inline constexpr std::size_t watched_jobs = 100'000;
inline constexpr std::size_t key_bytes = 128;
inline constexpr std::size_t trace_bytes = 64;
// Submits of one connection that may be unanswered, and the bytes of their params and blobs; said
// in the welcome. One larger than that goes alone; what is above is told E_RATE.
inline constexpr std::int32_t submit_window_jobs = 4096;
inline constexpr Bytes submit_window_bytes = 16_MiB;
// Bodies of waiting jobs that are kept in memory; the others are read back when they are sent.
inline constexpr Bytes cached_bodies = 64_MiB;
// Questions that wait for the ledger or the blob store.
inline constexpr std::size_t errands = 4096;
// Bytes of blobs and large submits that wait for the blob store.
inline constexpr Bytes unstored_bytes = 128_MiB;
// Ends per piece of a replay, also by their bytes.
inline constexpr int replay_piece = 500;
inline constexpr Bytes replay_piece_bytes = 4_MiB;
// How soon it is looked again whether a slow watcher has room for the next piece.
inline constexpr std::chrono::milliseconds replay_again{50};
// Jobs per page of a list, and its bytes as JSON, with at most so much of what each one's worker
// said; a page that looked for so long for jobs that are rare goes on with the next one.
inline constexpr int jobs_page = 150;
inline constexpr Bytes jobs_page_bytes = Bytes(50'000);
inline constexpr std::size_t list_text_bytes = 500;
inline constexpr std::chrono::milliseconds jobs_read_time{40};
// Jobs that are kept while a list by time is looked for that each job's own row must be read for.
inline constexpr std::size_t jobs_candidates = 16'384;
// Tokens in one hello or beat: every place and every unsettled result of the largest worker.
inline constexpr std::uint32_t held_tokens = 20'480;
// PromQL: a rule file's longest expressions are a few kilobytes; a parser that calls itself has a
// stack to end.
inline constexpr Bytes query_bytes = 64_KiB;
inline constexpr int query_depth = 200;
// Operators: those of one chain are as deep a tree as there are of them, and a tree is gone through
// by calls; 5,000 fit into a stack of 8 MiB, fewer with the sanitizers' larger frames.
inline constexpr int query_operators = 1'000;
// Instructions of all regular expressions of a request, as RE2 makes them: a list of names has
// about as many as bytes. What is written to be large, `.{999}` again and again, would take 5 s and
// 1 GB.
inline constexpr std::int64_t query_program = 250'000;
// Numbers that one query may have in memory at once: 400 MB.
inline constexpr std::size_t query_samples = 50'000'000;
// Points of one series in an answer: as Prometheus, more than any screen is wide.
inline constexpr std::uint64_t query_points = 11'000;
// How long one query may take, and how many are under way or wait.
inline constexpr std::chrono::milliseconds query_time{120'000};
inline constexpr std::size_t queries = 64;
// How long the regular expressions of one selection may take: nothing is stored meanwhile. A
// million values of a label are judged in a tenth of a second; an expression made to be slow takes
// hours.
inline constexpr std::chrono::milliseconds matching_time{2'000};
// Pushes that wait to be stored; and the ways in which series are written that are known by sight.
inline constexpr std::size_t writes = 64;
inline constexpr std::size_t known_raw_labels = 200'000;
// The live feed (collector/live.h): clients, what each may follow, and all of them. A page shows
// some dozens of values, and those who look at the same page share its queries.
inline constexpr std::size_t live_clients = 1'024;
inline constexpr std::size_t live_client_topics = 200;
inline constexpr std::size_t live_topics = 50'000;
inline constexpr std::size_t live_queries = 1'000;
inline constexpr std::size_t live_query_bytes = 4'096;
inline constexpr std::size_t live_topic_bytes = 128;
// One message of a client: so many topics with queries of 300 bytes.
inline constexpr Bytes live_message_bytes = 64_KiB;
// How often it is looked what changed, and how much of that time is spent on evaluation: the rest
// of a processor is for who asks.
inline constexpr std::chrono::milliseconds live_tick{1'000};
inline constexpr std::chrono::milliseconds live_budget{400};
// One query's result as JSON: a thousand series; and all that are held. What is above is answered
// as an error.
inline constexpr std::size_t live_result_bytes = 256 << 10;
inline constexpr std::size_t live_results_bytes = 32 << 20;
// Numbers that one evaluation may have in memory: a tenth of what who asks may.
inline constexpr std::size_t live_samples = 5'000'000;
// Waterfalls that are kept for who comes to read them (front/keep.h): of each octave of end-to-end
// time about so many in a window. Two in ten seconds tell a share of an hour's jobs to a few
// percent, and a busy day of ten octaves is 170,000 of them.
inline constexpr std::chrono::milliseconds keep_window{10'000};
inline constexpr std::int64_t keep_per_window = 2;
// And how many are held, and how long: of less than 1 KiB each, but for jobs that were tried often
// or whose stages open many sub-spans.
inline constexpr std::int64_t kept_waterfalls = 200'000;
inline constexpr std::chrono::hours kept_waterfall_age{24 * 90};
// Those that a collector has pulled from its front, as JSON of about 1.5 KB each: 150 MB of disk.
inline constexpr std::int64_t collected_waterfalls = 100'000;
// How often it asks for more, and how often a front that is away is asked: from the first to the
// slowest, at random below that.
inline constexpr std::chrono::milliseconds waterfalls_pull{1'000};
inline constexpr std::chrono::milliseconds front_again_first{250};
inline constexpr std::chrono::milliseconds front_again_slowest{5'000};
// How often the operator is told of a front that is away.
inline constexpr std::chrono::seconds front_told{60};
// Gaps that are remembered for who reads them; each is a front's ledger that was lost, or 90 days.
inline constexpr std::int64_t waterfall_gaps = 1'000;
// What is held of a job's earlier attempts; the first ones go.
inline constexpr Bytes kept_attempts_bytes = 32_KiB;
// A page of them, also by its bytes on the wire; a single one that has more is told without hops.
inline constexpr int waterfalls_page = 200;
inline constexpr Bytes waterfalls_page_bytes = 512_KiB;
// One whose whole time is not on disk yet is told later; after so long it never will be.
inline constexpr std::chrono::milliseconds waterfall_whole{2'000};
// How long the whole time of an ended job may wait in memory for a commit to ride on.
inline constexpr std::chrono::milliseconds wholes_delay{500};
// A file up to this size travels in the message and is a part of the job's row; a larger one rests
// in the blob store, only its digest travels, and whoever needs it maps it. It bounds rows and
// messages; a payload that is used once is not faster by digest at any size (docs/adr/0001).
inline constexpr Bytes inline_bytes = 32_KiB;
// Leases and due times are judged this far apart at least: a flood of due times costs no more.
inline constexpr std::chrono::milliseconds judgement_gap{5};
// Of a blob that comes or goes over the bus.
inline constexpr Bytes piece_bytes = 1_MiB;

// ---- stages: the runtime of a worker ----

// What a worker offers to hold unless told otherwise: enough for the shortest jobs over a round
// trip; the front sends less ahead of long ones.
inline constexpr std::int32_t worker_places = 1024;
inline constexpr Bytes worker_place_bytes = 256_MiB;
// Results it keeps until the front has them on disk: a commit's worth and the next one's.
inline constexpr std::int32_t worker_unsettled = 4096;
inline constexpr std::int32_t max_unsettled = 16'384;
inline constexpr int handler_threads = 256;
inline constexpr std::size_t stage_name_bytes = 32;

// Jobs a handler thread takes up at once, and results it gathers while more work waits; by then the
// cost per message has flattened.
inline constexpr std::size_t jobs_per_take = 64;
inline constexpr std::size_t results_per_flush = 128;
// The oldest gathered result leaves after this at the latest.
inline constexpr std::chrono::microseconds result_age{1000};

// A job that stays longer than this is reported to the front before its end.
inline constexpr std::chrono::milliseconds hop_event_after{5};
// How often running jobs are looked at for progress, and what is worth a message.
inline constexpr std::chrono::milliseconds progress_look{25};
inline constexpr std::chrono::milliseconds progress_period{1000};
inline constexpr double progress_step = 0.05;

// Blobs of a worker that cannot map the store. What it fetched last is kept, so that jobs with the
// same photograph fetch it once: eight of the largest that are decoded, and never more than a
// worker holds for its jobs. A larger one is fetched each time.
inline constexpr Bytes fetched_bytes = 256_MiB;
// How long it waits for one answer about a blob, also over a restart of the front; then the job is
// given up with E_AWAY, to be tried again.
inline constexpr std::chrono::milliseconds blob_answer{20'000};

// A coarse first version of a file, shown and forgotten.
inline constexpr Bytes preview_bytes = 1_MiB;

// Sub-spans of one hop: a waterfall with more cannot be read, and a loop that opens one per row
// must not fill the ledger.
inline constexpr std::size_t spans_per_hop = 64;
inline constexpr std::size_t span_depth = 8;
inline constexpr std::size_t span_name_bytes = 48;

// The text of an error in a result; more is a dump.
inline constexpr std::size_t error_text_bytes = 1024;

// The name of a file that a handler made: what any file system takes.
inline constexpr std::size_t file_name_bytes = 200;

// Parameters up to this size are kept checked, for the next job that has the same ones.
inline constexpr std::size_t params_memo_bytes = 4096;

// The longest that a synthetic job works: an hour.
inline constexpr std::int64_t synthetic_service_us = 3'600'000'000;
// And what it may leak: enough to be seen, of one job.
inline constexpr std::int64_t synthetic_leak_bytes = 1 << 20;

// What handler threads have to say on the control socket and the loop has not sent yet: an end and
// a preview for each place.
inline constexpr std::size_t worker_notices = 8192;

// Senders whose numbers a lane follows: the front and the workers of earlier hops.
inline constexpr std::size_t lane_sources = 1024;
// How long a handler thread waits for lanes that were just announced to be connected; a local one
// takes a millisecond. A job for one that is still not goes back to the front.
inline constexpr std::chrono::milliseconds lane_connect{50};
// How soon a result that could not leave is tried again: at the start, or while the front is away.
inline constexpr std::chrono::milliseconds unsent_retry{10};
// How long a lane that was replaced is still read.
inline constexpr std::chrono::milliseconds lane_grace{2000};
// A front that does not answer a hello is asked again after this.
inline constexpr std::chrono::milliseconds hello_again{1000};
// How long a worker that leaves waits for its running jobs and for its results to be settled.
inline constexpr std::chrono::milliseconds drain_wait{60'000};
// How long it waits for the front to know that it leaves; by then its lane is read a last time.
inline constexpr std::chrono::milliseconds drain_notice{1000};
// How often the signs of life of running handlers are looked at.
inline constexpr std::chrono::milliseconds stall_look{100};
// What a front may ask for as heartbeat.
inline constexpr std::chrono::milliseconds heartbeat_min{10};
inline constexpr std::chrono::milliseconds heartbeat_max{10'000};

// ---- the client library (bus/client.h) ----

// Submits without an answer: what a client has under way when the front names no smaller window.
// At 400,000 a second it covers a commit of 40 ms.
inline constexpr std::size_t client_window_jobs = 16'384;
inline constexpr Bytes client_window_bytes = 64_MiB;
// Submits that a client holds, sent or waiting for room in the window.
inline constexpr std::size_t client_jobs = 65'536;
inline constexpr Bytes client_jobs_bytes = 256_MiB;
// Questions without an answer.
inline constexpr std::size_t client_asks = 1'024;
// Jobs that a client waits for, and how many of them it asks about at a time: the rest of its
// questions are the caller's.
inline constexpr std::size_t client_waits = 65'536;
inline constexpr std::size_t client_end_asks = 256;
// Ends of own jobs that nobody has waited for yet; an older one is asked for again.
inline constexpr std::size_t client_ends = 65'536;
inline constexpr Bytes client_ends_bytes = 64_MiB;
// A front that says nothing is asked once each; after so many without a word the connection is
// given up. More than the pause that a front may take and still keep its leases.
inline constexpr std::chrono::milliseconds client_ping{1000};
inline constexpr int client_silent_pings = 6;
// A submit or question without an answer for so many pings is sent again: the front drops what it
// cannot send to a client that does not read.
inline constexpr int client_overdue_pings = 10;
// How often a blocking call asks whoever waits for it whether to go on.
inline constexpr std::chrono::milliseconds client_look{25};
// Pieces of a blob that are under way at a time, which hides the round trip.
inline constexpr int blob_pieces_ahead = 4;

// ---- http: the server and client library (docs/http.md, "Bounds") ----

// Connections of one server. A new one beyond it takes the place of the one that was idle longest,
// so that a flood of idle ones locks nobody out; while none is idle it is told 503.
inline constexpr std::size_t http_connections = 2048;
// Start line and fields; a browser's are below 2 KiB.
inline constexpr Bytes http_header_bytes = 16_KiB;
inline constexpr std::size_t http_header_fields = 100;
// How long a header may take from its first byte, and a kept connection be silent between requests.
inline constexpr std::chrono::milliseconds http_header_time{10'000};
inline constexpr std::chrono::milliseconds http_idle{60'000};
// A body that is read whole before its handler runs: JSON. Uploads are read in pieces, and bounded
// by their route.
inline constexpr Bytes http_body_bytes = 1_MiB;
// What one server holds of such bodies together, as they come and until they are answered: eight of
// the largest pushes, hundreds of a usual size. Each connection may have one of them.
inline constexpr Bytes http_bodies_bytes = 256_MiB;
// After the grace a body must come, and an answer be read, at this rate at least.
inline constexpr std::chrono::milliseconds http_transfer_grace{30'000};
inline constexpr Bytes http_bytes_per_second = 1_KiB;
// What is read of a body at once, and of a refused one before the connection is closed: a client
// that is still sending reads the answer only then.
inline constexpr Bytes http_piece = 64_KiB;
inline constexpr Bytes http_drained_body = 256_KiB;
// What one call hands to the system of an answer: below a millisecond of the server's thread.
inline constexpr Bytes http_write_bytes = 1_MiB;
// One message of a WebSocket, also when it comes compressed, in as many frames as it likes.
inline constexpr Bytes http_socket_message_bytes = 1_MiB;
// Bytes that wait for a reader of a stream or WebSocket: a few seconds of a busy feed.
inline constexpr Bytes http_outlet_bytes = 1_MiB;
// How often a quiet stream or WebSocket says that it lives; after two without an answer it is gone.
inline constexpr std::chrono::milliseconds http_ping{20'000};
// Answers below this are not worth compressing. Above the other it would hold up the server's
// thread, which takes 3 ms for so much.
inline constexpr Bytes http_gzip_bytes = 1_KiB;
inline constexpr Bytes http_gzip_largest_bytes = 1_MiB;
// After an accept that found no descriptor left: long enough not to spin, short enough not to show.
inline constexpr std::chrono::milliseconds http_accept_again{100};
// How long a server that leaves waits for its requests to be answered.
inline constexpr std::chrono::milliseconds http_drain{10'000};
// The client. From the call to the end of the answer; a stream may be silent that long, which is
// two pings.
inline constexpr std::chrono::milliseconds http_client_timeout{30'000};
inline constexpr std::chrono::milliseconds http_client_silence = 2 * http_ping;
// Connections to one origin; what waits for one of them; and how long one is kept for the next
// request, below http_idle so that it is seldom the server that closes it.
inline constexpr std::size_t http_client_connections = 8;
inline constexpr std::size_t http_client_waiting = 1024;
inline constexpr std::chrono::milliseconds http_client_idle{30'000};
// An answer that is collected; a larger one is streamed.
inline constexpr Bytes http_client_body_bytes = 64_MiB;
// Parts of a multipart body, and the fields of one part.
inline constexpr std::size_t multipart_parts = item_blobs + 8;
inline constexpr Bytes multipart_header_bytes = 4_KiB;
// Tokens in one file, each a line of up to 140 bytes; twice that leaves room for comments.
inline constexpr std::size_t http_tokens = 10'000;
inline constexpr Bytes http_tokens_bytes = 3_MiB;

// ---- the gateway: HTTP as a client of the front (front/gateway) ----

// Clients' names that it speaks for at a time; the one that was used longest ago makes room.
inline constexpr std::size_t gateway_lines = 256;
// How long it waits for the front's answer to one question.
inline constexpr std::chrono::milliseconds gateway_answer{30'000};
// The longest that `Prefer: wait` makes a client wait for a job's end.
inline constexpr std::chrono::seconds gateway_wait{300};
// Events that are kept in memory for those who read on; older ones are read back from the ledger.
// So long, since who follows reads within milliseconds, and a burst's memory is to be given back.
inline constexpr std::chrono::seconds gateway_events_age{10};
inline constexpr std::size_t gateway_events = 16'384;
inline constexpr Bytes gateway_events_bytes = 8_MiB;

// ---- the bus through a WebSocket (front/gateway/wire.h, apps/cli/tunnel.h) ----

// Clients that speak so at a time; each has a socket of its own to the front.
inline constexpr std::size_t wire_sockets = 256;
// One message from a client, an envelope: the largest frame with its header and params. Answers are
// bounded by envelope_bytes.
inline constexpr Bytes wire_message_bytes = 10_MiB;
// What waits for one client: of its own that the front has not taken yet, or of refusals that it
// does not read. Beyond it the connection is closed, and the client makes another.
inline constexpr Bytes wire_waiting_bytes = 16_MiB;
// The client's end: bytes that wait for the WebSocket, and those that wait to be read; beyond the
// latter nothing more is read from the connection.
inline constexpr Bytes tunnel_out_bytes = 4_MiB;
inline constexpr Bytes tunnel_in_bytes = 16_MiB;
// A file with a token: one line.
inline constexpr std::size_t token_file_bytes = 4'096;

// ---- the collector: its forward to the front (collector/forward.h) ----

// Requests and streams that are under way to the front at a time, and as many WebSockets. A page
// holds one of each.
inline constexpr std::size_t forward_requests = 512;
inline constexpr std::size_t forward_sockets = 512;
// A body on its way to the front: above the largest that the front takes, so that it is the front
// who says no. It is never held: a piece of it is.
inline constexpr Bytes forward_body_bytes = 512_MiB;
// How long the front may be silent, beyond what `Prefer: wait` asks it for: longer than it waits
// itself (gateway_answer).
inline constexpr std::chrono::milliseconds forward_answer{35'000};

// ---- the collector: its series store (collector/store.h) ----

// Samples of one packed block. At 1,024 its head costs 0.02 bytes each, and to read one sample
// still costs only some microseconds.
inline constexpr std::size_t block_samples = 1024;
// One column of integers: the points of one record of the log.
inline constexpr std::size_t integers_column = 4096;
// Labels of one series, as packed: 64 labels of 256 bytes.
inline constexpr std::size_t series_labels_bytes = 16 << 10;
// Packed labels in one record of the list of series: a push with thousands of new ones compresses
// them together.
inline constexpr std::size_t series_list_bytes = 512 << 10;
// Ids that a store may give out in its life, for none is given twice; a replay believes none above.
// A million new series a day last for half a year; each costs a bit when it is looked which died.
inline constexpr std::uint32_t series_ids = 200'000'000;
// The list of series is written anew when so many in it have died, and more than live.
inline constexpr std::uint32_t dead_series = 10'000;
// Metrics of which it is counted how many new series were refused; those of others are counted as
// one.
inline constexpr std::size_t overflow_metrics = 100;
// Samples that are further ahead of the clock are counted: a sender's clock is wrong. They are kept
// as any other. Prometheus takes nothing further ahead from what it scrapes.
inline constexpr std::chrono::minutes future{10};
// Of series of our own bus, samples older than this are thinned to the last one of each so many
// seconds: an hour at full resolution is what people look at while it happens.
inline constexpr std::chrono::minutes own_tier_after{60};
inline constexpr std::chrono::seconds own_tier_step{15};
// And to one in so many when that is asked for.
inline constexpr std::chrono::minutes long_tier_step{5};
// How soon what was acknowledged is synced to the disk: a power cut costs at most this. Below the
// 500 ms that are promised, by what a sync takes.
inline constexpr std::chrono::milliseconds log_sync_period{400};
// Series that a store takes unless it is told otherwise: a hundred hosts with a thousand each.
inline constexpr std::uint32_t store_series = 100'000;
// Samples of one series that are held unpacked: 512 bytes, which for 10,000 series is 5 MB, and
// enough for a chunk of which the head is a fifth.
inline constexpr std::size_t open_samples = 32;
// A log this large is sealed: a million samples, which a start replays in 50 ms.
inline constexpr std::uint64_t seal_log_bytes = 2 << 20;
// So many parts of about one size become one: blocks of 10,000 series grow from 100 samples to
// their full length, and each sample is written some four times until then.
inline constexpr std::size_t merged_parts = 4;
// Larger ones are not merged: their blocks are full. And none that hold more than a share of the
// retention, since a part goes as a whole.
inline constexpr std::uint64_t merged_part_bytes = 64 << 20;
inline constexpr std::int64_t parts_per_retention = 10;
// A head that is this old is sealed however small it is: what is in it is neither thinned nor too
// old as long as it is there.
inline constexpr std::chrono::minutes seal_age{120};
// What is read of a part at once: some fifty blocks. One block has at most 24 KB: two columns of
// 1,024 words, and what is beside them.
inline constexpr std::size_t disk_read_bytes = 64 << 10;
inline constexpr std::size_t block_bytes = 32 << 10;
// A log that grows to this, because nothing can be sealed, takes no more: its points are in memory.
inline constexpr std::uint64_t log_bytes = 64 << 20;
// How soon a seal that failed is tried again, and how often it is looked what is too old.
inline constexpr std::chrono::milliseconds seal_again{5'000};
inline constexpr std::chrono::minutes retention_look{10};
// How long samples are kept unless it is told otherwise.
inline constexpr std::chrono::hours retention{24 * 35};
// Snapshots that lie in a store's folder, where each holds on to sealed parts that are long gone
// from the store. What an operator asked to keep is never removed: one more is refused.
inline constexpr std::size_t snapshots = 16;
// Blocks of one sealed part: offsets in it are 32 bits. A seal writes some MiB.
inline constexpr std::uint64_t part_bytes = 1ULL << 30;
// One record of the log or of the list of series: a column's worth of points of which none is a
// decimal takes 100 KiB, one series at most series_labels_bytes.
inline constexpr std::size_t log_record_bytes = 1 << 20;
// ---- collector: what comes in (collector/labels_check.h and the doors that ask it) ----

// Labels of one series. Kubernetes' own come to about 30.
inline constexpr std::size_t series_labels = 64;
// A metric's or a label's name.
inline constexpr std::size_t label_name_bytes = 256;
// A value: a path or an error's text fits; what is longer is a log line.
inline constexpr std::size_t label_value_bytes = 4096;
// All names and values of one series: what each new one costs in memory and on disk.
inline constexpr std::size_t series_bytes = 16'384;
// Labels of all series together, as packed: so much for each that there may be, 195 MiB for 100,000
// of them. Those of a pod in Kubernetes are below 1 KiB. What is distinct in them lies in the index
// a second time.
inline constexpr std::uint64_t labels_bytes_per_series = 2'048;
// What a HELP says, for people; it is cut there.
inline constexpr std::size_t metric_help_bytes = 4096;
// All labels of an exemplar, in characters; OpenMetrics' own bound. What is above is dropped, and
// its sample kept.
inline constexpr std::size_t exemplar_chars = 128;
// A line of a text exposition: the largest series with each byte escaped, an exemplar, two numbers.
inline constexpr std::size_t exposition_line_bytes = 65'536;

// A remote write request, taken out of its snappy block: 20 times what senders make of it (2,000
// samples are 260 KB).
inline constexpr Bytes write_request_bytes = 32_MiB;
// And its samples: one takes 24 bytes in memory and as little as 2 in the request.
inline constexpr std::size_t write_request_samples = 1'000'000;
// What a reader of requests keeps of each of its buffers for the next one.
inline constexpr Bytes write_kept_bytes = 4_MiB;

// A line of StatsD. Clients keep a datagram below 1,432 or 8,192 bytes.
inline constexpr std::size_t statsd_line_bytes = 8'192;
// Series that StatsD lines make, which live as long as the process. What would be one more is
// counted.
inline constexpr std::size_t statsd_series = 20'000;
// Ways in which they are written that are known by sight: tags may come in any order. What is
// written in one more is read at a tenth of the speed.
inline constexpr std::size_t statsd_spellings = 40'000;
// Those of them that are histograms: each is 5.4 KB here and about 30 series in the store.
inline constexpr std::size_t statsd_histograms = 2'000;
// Those that are sets, and the values of one between two flushes: 256 KB.
inline constexpr std::size_t statsd_sets = 64;
inline constexpr std::size_t statsd_set_values = 16'384;
// The smallest sample rate: one line then stands for a million.
inline constexpr double statsd_min_rate = 1e-6;

// ---- telemetry: what processes count, over the bus (bus/telemetry.h, collector/telemetry_door.h)

// How often a process says what changed; and each of so many times it says all again, so that who
// missed something knows it 10 s later.
inline constexpr std::chrono::milliseconds telemetry_period{1'000};
inline constexpr int telemetry_whole_every = 10;
// Frames that wait in a sender for a collector that is slow: what is older is of no use.
inline constexpr int telemetry_out_queue = 4;
// Frames of one sender that wait in the collector: half a minute's worth.
inline constexpr int telemetry_in_queue = 32;
// How long a process that ends waits for its last frame to leave.
inline constexpr std::chrono::milliseconds telemetry_linger{100};
// One frame: ten thousand metrics with their texts and all buckets that there may be.
inline constexpr Bytes telemetry_frame_bytes = 4_MiB;
// Metrics of one process, by their numbers. A histogram is one here and 28 series in the store.
inline constexpr std::uint32_t telemetry_series = 10'000;
// And its histograms' buckets that are not empty: a thousand of them with a quarter filled. Who
// reads them has 16 bytes for each.
inline constexpr std::size_t telemetry_buckets = 200'000;
// What is held of the numbers of all processes, that is, which series they stand for: what
// half a million histograms take. As many series as a store has come to 2 MB, but nothing keeps a
// frame from naming one again and again.
inline constexpr Bytes telemetry_numbers_bytes = 64_MiB;
// What a process calls its job and itself.
inline constexpr std::size_t telemetry_name_bytes = 128;
// Processes that a collector listens to at a time; the one that is gone for longest makes room.
inline constexpr std::size_t telemetry_senders = 1'024;
// So many periods without a frame, and a process is gone: its series end there.
inline constexpr int telemetry_missing = 3;
// How long `up` of a process that is gone is told to be 0.
inline constexpr std::chrono::milliseconds telemetry_forget{3'600'000};

// ---- the collector: the host and what is made of it ----

// Disks that are told one by one, and network devices: a host of containers has a device for each
// of them. What is beyond is left out, and counted.
inline constexpr std::size_t host_devices = 64;
// Processes that are watched for leaks: two gauges each, of each measure of memory.
inline constexpr std::size_t leak_processes = 400;
// Series of one question for steps; what would be one more is left out, and said.
inline constexpr std::size_t trend_series = 1'000;

// ---- the collector's other doors: what metrics are, exemplars, scraping, StatsD, ways out ----

// Metrics of which it is known what they are. Each costs some 200 bytes; a host with everything on
// it has some 2,000.
inline constexpr std::size_t metadata_metrics = 20'000;
// And their names and texts: with the longest help, few of them fit.
inline constexpr std::size_t metadata_bytes = 4 << 20;
// The newest exemplars of one series: a bucket needs one, and some of the past for who looks back.
inline constexpr std::size_t exemplars_per_series = 10;
// Of all series; each some 300 bytes. The one that came first makes room.
inline constexpr std::size_t exemplars_kept = 20'000;

// A file of targets.
inline constexpr std::size_t scrape_file_bytes = 1 << 20;
// Targets of all jobs: a thousand, each second, are as much as one thread can read.
inline constexpr std::size_t scrape_targets = 1'000;
// An answer of one, as it comes and when it is taken out of its gzip.
inline constexpr Bytes scrape_body_bytes = 16_MiB;
// Samples of one answer; one with more is none, and says so.
inline constexpr std::size_t scrape_samples = 50'000;
// Answers of all targets that are on their way or wait to be read; what is above is a scrape that
// failed.
inline constexpr Bytes scrapes_held_bytes = 64_MiB;
// How soon after another a target may be asked again.
inline constexpr std::chrono::milliseconds scrape_interval_least{100};
inline constexpr std::chrono::milliseconds scrape_interval{15'000};
inline constexpr std::chrono::milliseconds scrape_timeout{10'000};

// One answer to a query or a list, as JSON, CSV or text: two million points, which no page shows,
// and as much as our own client takes; and all that were made and are not read yet.
inline constexpr Bytes answer_bytes = 64_MiB;
inline constexpr Bytes unread_answers_bytes = 256_MiB;

// A datagram of StatsD, and as many as one call of the system takes: 0.5 MB.
inline constexpr std::size_t statsd_datagram_bytes = 8'192;
inline constexpr std::size_t statsd_batch = 64;
// What the system is asked to hold while that thread does something else; it gives what its own
// limit allows.
inline constexpr int statsd_socket_bytes = 8 << 20;
// How often what came is put into the store.
inline constexpr std::chrono::milliseconds statsd_flush{1'000};

}  // namespace tallymill::limits
