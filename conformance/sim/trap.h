// Signals: a kernel's bad access becomes a report, the host's touch of device memory ends the
// program.
#pragma once

namespace flame::sim {

class Memory;

// Makes addresses of `memory` known to the handler, for its lifetime.
void add_arena(const Memory* memory);
void remove_arena(const Memory* memory);
// Installs the handlers (once a process) and an alternate stack (once an OS thread).
void install_traps();

}  // namespace flame::sim
