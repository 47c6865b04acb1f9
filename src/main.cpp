#include "cli/command.h"

int main(int argc, char** argv) {
  return solder::cli::run_command(argc, argv);
}
