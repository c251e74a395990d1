/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * expect PROGRAM SOURCE: runs PROGRAM and checks that it ends by SIGABRT with exactly the one line on standard error that
 * the line "expect: ..." of SOURCE demands. POINTER in it stands for the last line that PROGRAM wrote to standard
 * output. Exits with 0 if so; else it prints both and exits with 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_SECONDS 30

typedef struct output {
  int fd;
  char text[8192];
  size_t length;
} output_t;

static void give_up(const char *what) {
  fprintf(stderr, "expect: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* The expectation of the source, without the newline and the end of a comment. */
static void read_expectation(const char *path, char *text, size_t size) {
  static const char key[] = "expect: ";
  FILE *file = fopen(path, "r");
  if (file == NULL) {
    give_up(path);
  }
  char line[512];
  while (fgets(line, sizeof line, file) != NULL) {
    char *found = strstr(line, key);
    if (found != NULL) {
      found += sizeof key - 1;
      char *end = strstr(found, " */");
      found[end != NULL ? (size_t)(end - found) : strcspn(found, "\n")] = '\0';
      snprintf(text, size, "%s", found);
      fclose(file);
      return;
    }
  }
  fprintf(stderr, "expect: %s has no line \"expect: ...\"\n", path);
  exit(1);
}

static pid_t start(const char *program, int out, int err) {
  pid_t pid = fork();
  if (pid < 0) {
    give_up("fork");
  }
  if (pid == 0) {
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    execl(program, program, (char *)NULL);
    _exit(127);
  }
  close(out);
  close(err);
  return pid;
}

/* Reads both pipes to their ends. Returns false when that takes too long. */
static bool collect(output_t *outputs) {
  time_t deadline = time(NULL) + TIMEOUT_SECONDS;
  int open_pipes = 2;
  while (open_pipes > 0) {
    struct pollfd polled[2] = {{outputs[0].fd, POLLIN, 0}, {outputs[1].fd, POLLIN, 0}};
    time_t left = deadline - time(NULL);
    if (left <= 0 || poll(polled, 2, (int)left * 1000) == 0) {
      return false;
    }
    for (int i = 0; i < 2; i++) {
      if (polled[i].revents == 0) {
        continue;
      }
      output_t *output = &outputs[i];
      char buffer[512];
      ssize_t length = read(output->fd, buffer, sizeof buffer);
      if (length <= 0) {
        close(output->fd);
        output->fd = -1;
        open_pipes--;
      } else if (output->length + (size_t)length < sizeof output->text) {
        memcpy(output->text + output->length, buffer, (size_t)length);
        output->length += (size_t)length;
      }
    }
  }
  return true;
}

/* `expected` with POINTER replaced by the last line of `out`, and a newline. */
static void fill_in(const char *expected, const char *out, char *text, size_t size) {
  size_t end = strlen(out);
  while (end > 0 && out[end - 1] == '\n') {
    end--;
  }
  size_t begin = end;
  while (begin > 0 && out[begin - 1] != '\n') {
    begin--;
  }
  const char *place = strstr(expected, "POINTER");
  if (place == NULL) {
    snprintf(text, size, "%s\n", expected);
  } else {
    snprintf(text, size, "%.*s%.*s%s\n", (int)(place - expected), expected, (int)(end - begin), out + begin,
             place + strlen("POINTER"));
  }
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: expect PROGRAM SOURCE\n");
    return 1;
  }
  char expected[512];
  read_expectation(argv[2], expected, sizeof expected);

  int out[2];
  int err[2];
  if (pipe(out) != 0 || pipe(err) != 0) {
    give_up("pipe");
  }
  static output_t outputs[2];
  outputs[0].fd = out[0];
  outputs[1].fd = err[0];
  pid_t pid = start(argv[1], out[1], err[1]);
  bool in_time = collect(outputs);
  if (!in_time) {
    kill(pid, SIGKILL);
  }
  int status = 0;
  waitpid(pid, &status, 0);

  char demanded[1024];
  fill_in(expected, outputs[0].text, demanded, sizeof demanded);
  if (in_time && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strcmp(outputs[1].text, demanded) == 0) {
    return 0;
  }
  fprintf(stderr, "%s\n", argv[1]);
  if (!in_time) {
    fprintf(stderr, "  hung for %d seconds\n", TIMEOUT_SECONDS);
  } else if (WIFSIGNALED(status)) {
    fprintf(stderr, "  ended by signal %d (%s); must be SIGABRT\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
  } else {
    fprintf(stderr, "  ended with status %d; must be SIGABRT\n", WEXITSTATUS(status));
  }
  fprintf(stderr, "  expected on standard error: %s  printed: %s\n", demanded, outputs[1].text);
  return 1;
}
