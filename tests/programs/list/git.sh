# git on this repository, when it is one, and on a made-up history that is large enough to delta and repack: what people do
# every day, and the housekeeping.

needs_git() { need git; }
prepare_git() {
  if git -C "$root" rev-parse -q --verify HEAD >/dev/null 2>&1; then
    git clone -q --bare --no-local "$root" "$shared/this.git"
  else
    note "the sources are no git repository: only a made-up one is used"
  fi
  git init -q --bare -b main "$shared/made.git"
  local commits=6000
  [ "$short" = 0 ] || commits=300
  perl -e '
    my ($commits, $state) = ($ARGV[0], 1);
    my @lines = map { "line $_ of the file\n" } 1 .. 400;
    for my $commit (1 .. $commits) {
      for (1 .. 5) {
        $state = ($state * 1103515245 + 12345) & 0x7fffffff;
        $lines[$state % @lines] = "changed by $commit to $state\n";
      }
      my $text = join "", @lines;
      my $file = "folder" . ($commit % 7) . "/file" . ($commit % 31) . ".txt";
      printf "commit refs/heads/main\ncommitter A <a\@b> %d +0000\ndata 7\ncommit\n\nM 644 inline %s\ndata %d\n%s\n",
        1000000000 + $commit, $file, length $text, $text;
    }' "$commits" | git -C "$shared/made.git" fast-import --quiet
  note "$(git --version | cut -d' ' -f1-3), $commits commits"
}
program_git() {
  export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_PAGER=cat GIT_EDITOR=true
  export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@b
  export GIT_AUTHOR_DATE='1100000000 +0000' GIT_COMMITTER_DATE='1100000000 +0000'
  local source name
  for source in "$shared"/*.git; do
    name=$(basename "$source" .git)
    git clone -q --no-local "$source" "$name" || return
    git -C "$name" log --stat -p -M | cksum || return
    git -C "$name" blame HEAD -- "$(git -C "$name" ls-files | head -1)" | cksum || return
    git -C "$name" -c pack.threads=4 -c gc.auto=0 gc -q --aggressive --prune=now || return
    git -C "$name" fsck --full --strict --no-progress || return
    git -C "$name" rev-list --objects --all | sort | cksum || return
    git -C "$name" grep -c -e 'e' HEAD | cksum || return
  done
  git_workflow made || return
}

# git_workflow CLONE: a topic branch is committed to, rebased, merged, mailed and searched.
git_workflow() {
  cd "$1" || return
  local i
  git checkout -q -b topic HEAD~100 || return
  for i in $(seq 12); do
    echo "topic $i" >>topic.txt && git add topic.txt && git commit -q -m "Topic $i" || return
  done
  git rebase -q main || return
  git checkout -q main && git merge -q --no-ff -m 'Merge topic' topic || return
  git format-patch -q -o patches main~1..topic || return
  git checkout -q -b mailed main~1 && git am -q patches/* && git diff --quiet topic || return
  git stash list && git status --short
  git bisect start -q main main~64 >/dev/null &&
    git bisect run sh -c '! grep -q "topic 7" topic.txt 2>/dev/null' | grep 'first bad commit'
  git bisect reset -q 2>/dev/null
  git log --oneline --graph --all -S'topic 7' | cksum || return
  git archive --format=tar.gz main | gzip -dc | cksum || return
  git bundle create -q ../bundle --all && git clone -q ../bundle ../again && git -C ../again log --all --format=%H | sort | cksum
  git log --format=%H -1 main
}
