#!/usr/bin/env python3
"""The pages whose rows name tests: every row is there once, and every test it names exists."""

import ast
import collections
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tree"))
import source_tree  # noqa: E402 (found through the path above)

SCENARIOS = "tests/core/testdata/"

# The seed's tests of codecs and plumbing that guard against no known loss.
LEFT_OUT = {3, 4, 5, 6, 9, 15, 19, 23, 36, 50, 53, 72, 73, 143, 146, 147}


def numbered(letter, last, left_out=()):
    return [f"{letter}{i}" for i in range(1, last + 1) if i not in left_out]


# Features of the seed by its files, and its tests.
FEATURES = (numbered("A", 20) + numbered("B", 19) + numbered("C", 13) + numbered("D", 21) +
            numbered("T", 157, LEFT_OUT))
# What went wrong there and elsewhere. Each needs a test that would have caught it.
PROBLEMS = numbered("P", 15) + numbered("L", 7) + numbered("N", 23)

# The seed's store. Functions by their numbers in its list of features.
FUNCTIONS = dict(each.split("=") for each in """
    955=newFileStore 956=newFileStoreWithCreated 957=lockAllMsgBlocks 958=unlockAllMsgBlocks
    960=dynBlkSize 961=genEncryptionKey 962=genEncryptionKeys 963=genBlockEncryptionKey
    964=recoverAEK 965=setupAEK 966=writeStreamMeta 967=getMsgBlockBuf 968=recycleMsgBlockBuf
    969=noTrackSubjects 970=initMsgBlock 972=loadEncryptionForMsgBlock 974=recoverMsgBlock
    975=lostData 976=addLostData 978=removeFromLostData 979=rebuildState 980=rebuildStateLocked
    989=updateTrackingState 990=trackingStatesEqual 998=copyMsgBlocks 1057=kickFlusher
    1152=fileStoreMsgSizeRaw 1153=fileStoreMsgSize 1154=fileStoreMsgSizeEstimate
    1158=checkNewHeader 1163=subjectsEqual 1164=subjectsAll 1165=compareFn
    1200=timestampNormalized 1235=init 1239=checkConsumerHeader 1248=decodeConsumerState
    1261=writeFileWithSync 1262=writeAtomically 987=warn 988=debug 991=recoverFullState
    992=recoverTTLState 993=recoverMsgSchedulingState 995=cleanupOldMeta 996=recoverMsgs
    997=expireMsgsOnRecover
""".split())
# Its tests that guard against a loss, in our numbering.
LOSS_TESTS = dict(each.split("=") for each in """
    S1=RecoverWithRemovesAndNoIndexDB S2=ReloadAndLoseLastSequence
    S3=ReloadAndLoseLastSequenceWithSkipMsgs S4=RemoveMsgBlockFirst S5=RemoveMsgBlockLast
    S6=RecoverDoesNotResetStreamState S7=TrailingSkipMsgsFromStreamStateFile
    S8=ShortIndexWriteBug S9=FullStatePurgeFullRecovery S10=CorruptPSIMOnDisk
    S11=RestoreIndexWithMatchButLeftOverBlocks S12=RemoveBlockWithStaleStreamState
    S13=MsgBlkFailOnKernelFaultLostDataReporting S14=IndexCacheBufIdxMismatch
    S15=EmptyBlockContainsPriorTombstones S16=TombstonesNoFirstSeqRollback
    S17=MissingDeletesAfterCompact S18=PreserveLastSeqAfterCompact S19=CompactRestoresLastSeq
    S20=SkipMsgAndCompactRequiresAppend S21=CompactRewritesFileWithSwap
    S22=CompactHeadReclaimRecompressedBlock S23=EncryptedPurgeRecoveryAfterKeyRename
    S24=AsyncTruncate S25=AtomicEraseMsg S26=EraseMsgDoesNotLoseTombstones
    S27=EraseMsgDoesNotLoseTombstonesInEmptyBlock
    S28=DoubleCompactWithWriteInBetweenEncryptedBug S29=EncryptedKeepIndexNeedBekResetBug
    S30=ConvertToEncryptedDoesNotResurrectXoredCache S31=EncryptionKeyFileSyncedBySyncBlocks
    S32=SyncBlocksFlushesAndSyncsMessages S33=SyncBlocksSyncsCompaction S34=InlineCompactionSync
    S35=CompactStoreMsgRace S36=MsgLimitsAndOldRecoverState
""".split())


class Page:
    """A page of rows. `names`: what the second cell of a row has to be."""

    def __init__(self, path, features, problems=(), names=None):
        self.path = path
        self.features = list(features)
        self.problems = list(problems)
        self.names = names or {}


# Of what went wrong in the seed's store, these are of what Cairn does not have.
NOT_THERE_YET = {8, 9, 10}
STORE_NAMES = {**{f"F{number}": name for number, name in FUNCTIONS.items()}, **LOSS_TESTS}
PAGES = [
    Page("docs/seed-coverage.md", FEATURES, PROBLEMS),
    Page("docs/seed-coverage-store.md",
         list(STORE_NAMES) + [f"H{i}" for i in sorted(NOT_THERE_YET)] + numbered("V", 12),
         numbered("H", 18, NOT_THERE_YET), STORE_NAMES),
    # Of the fault catalogue: disks, and row 34 of the bad inputs.
    Page("docs/disk-faults.md", numbered("D", 24) + ["B34"]),
    # The others, and the bad inputs that speak of Raft.
    Page("docs/faults.md", numbered("N", 10) + numbered("S", 4) + numbered("M", 6) +
         numbered("C", 4) + [f"B{row}" for row in (12, *range(15, 23), 24, 25)]),
]

# The heads of the columns that name tests.
TEST_COLUMNS = {"tests", "block log", "RocksDB log"}

TEST = re.compile(r"^\s*TEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)", re.MULTILINE)
COUNT = re.compile(r"^\| (built|in part|not yet|not needed) \| (\d+) \|$", re.MULTILINE)


def rows(text):
    """(id, second cell, the cells that name tests) of every row of the tables that have ids."""
    found = []
    columns = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line[1:-1].split("|")] if line[:1] == "|" else []
        if not cells:
            columns = []
        elif cells[0] == "id":
            columns = [i for i, cell in enumerate(cells) if cell in TEST_COLUMNS]
        elif columns and not set(cells[0]) <= {"-", ":"}:
            found.append((cells[0], cells[1], [cells[i] for i in columns]))
    return found


def verdict(cell):
    for start in ("in part", "not yet", "not needed"):
        if cell.startswith(start):
            return start
    return "built"


def citations(cell):
    return re.findall(r"`([^`]+)`", cell)


def tests_in(path, text):
    """The tests a file holds, as Suite.Test or Class.test."""
    if path.endswith(".py"):
        return {f"{node.name}.{each.name}" for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.ClassDef) for each in node.body
                if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")}
    return {f"{suite}.{name}" for suite, name in TEST.findall(source_tree.code_only(text))}


def what_is_wrong(citation, read):
    """Why the citation names no test, or None. `read` gives a file's text, or None."""
    path, colon, test = citation.partition(": ")
    text = read(path)
    if text is None:
        return f"{citation}: there is no such file"
    if not colon:
        if not path.startswith(SCENARIOS) or "\n----\n" not in text:
            return f"{citation}: no scenario"
    elif not path.startswith("tests/") or not path.endswith((".cc", ".py")):
        return f"{citation}: no file of tests"
    elif test not in tests_in(path, text):
        return f"{citation}: the file has no such test"
    return None


def faults(text, page, read):
    """Everything that is wrong with the page's text."""
    table = rows(text)
    known = page.features + page.problems
    times = collections.Counter(row for row, _, _ in table)
    said = [f"{row}: {times[row]} rows" for row in known if times[row] != 1]
    said += [f"{row}: nobody knows this row" for row in times if row not in known]
    said += [f"{row}: is {page.names[row]}, not {second}" for row, second, _ in table
             if page.names.get(row, second) != second]
    for row, cell in [(row, cell) for row, _, cells in table for cell in cells]:
        cited = citations(cell)
        said += [f"{row}: {fault}" for fault in (what_is_wrong(each, read) for each in cited)
                 if fault is not None]
        says_why = re.match(r"(in part|not yet|not needed): \w", cell)
        if verdict(cell) in ("built", "in part") and not cited:
            said.append(f"{row}: names no test")
        if verdict(cell) in ("not yet", "not needed") and (cited or row in page.problems):
            said.append(f"{row}: {verdict(cell)}, and either has tests or needs one")
        if verdict(cell) != "built" and not says_why:
            said.append(f"{row}: does not say why")
    counted = collections.Counter(verdict(cell) for _, _, cells in table for cell in cells)
    claimed = {name: int(number) for name, number in COUNT.findall(text)}
    if claimed != dict(counted):
        said.append(f"the page counts {claimed}, and has {dict(counted)}")
    return said


class RulesTest(unittest.TestCase):
    FILES = {
        "tests/a_test.cc": "TEST(OneTest, Works) {\n}\n// TEST(OneTest, IsGone) {}\n"
                           "TEST_F(TwoTest,\n       Breaks) {}\nTEST_P(ThreeTest, Runs) {}\n",
        "tests/b_test.py": "class BTest(Base):\n    def test_it(self):\n        pass\n\n"
                           "    def helper(self):\n        pass\n",
        SCENARIOS + "c.txt": "# What.\nstart\n----\n",
        SCENARIOS + "d.txt": "",
        "raft/e.cc": "TEST(OneTest, Works) {}\n",
    }
    COUNTS = "| built | 2 |\n| in part | 1 |\n| not yet | 1 |\n\n"
    GOOD = (COUNTS +
            "| id | what | tests |\n|--|--|--|\n"
            "| A1 | x | `tests/a_test.cc: OneTest.Works` |\n"
            "| A2 | x | in part: y is missing<br>`tests/b_test.py: BTest.test_it` |\n"
            "| A3 | x | not yet: later |\n\n"
            "text\n\n"
            "| id | tests |\n|--|--|\n"
            f"| P1 | `{SCENARIOS}c.txt`<br>`tests/a_test.cc: TwoTest.Breaks` |\n")

    def faults(self, text, names=None):
        return faults(text, Page("", ["A1", "A2", "A3"], ["P1"], names), self.FILES.get)

    def assert_fault(self, fault, before, after):
        self.assertIn(before, self.GOOD)
        self.assertEqual([fault], self.faults(self.GOOD.replace(before, after)))

    def test_finds_the_tests_of_a_file(self):
        path = "tests/a_test.cc"
        self.assertEqual({"OneTest.Works", "TwoTest.Breaks", "ThreeTest.Runs"},
                         tests_in(path, self.FILES[path]))
        path = "tests/b_test.py"
        self.assertEqual({"BTest.test_it"}, tests_in(path, self.FILES[path]))

    def test_a_good_page(self):
        self.assertEqual([], self.faults(self.GOOD))

    def test_a_name_that_is_no_test(self):
        self.assert_fault("A1: tests/a_test.cc: OneTest.Wroks: the file has no such test",
                          "OneTest.Works", "OneTest.Wroks")
        self.assert_fault("A1: tests/a_test.cc: OneTest.IsGone: the file has no such test",
                          "OneTest.Works", "OneTest.IsGone")
        self.assert_fault("A2: tests/b_test.py: BTest.helper: the file has no such test",
                          "BTest.test_it", "BTest.helper")
        self.assert_fault(f"P1: {SCENARIOS}e.txt: there is no such file", "c.txt", "e.txt")
        self.assert_fault(f"P1: {SCENARIOS}d.txt: no scenario", "c.txt", "d.txt")
        self.assert_fault("A1: raft/e.cc: OneTest.Works: no file of tests",
                          "tests/a_test.cc: OneTest.Works", "raft/e.cc: OneTest.Works")

    def test_rows_that_are_missing_or_twice(self):
        line = "| A1 | x | `tests/a_test.cc: OneTest.Works` |\n"
        self.assertEqual(["A1: 0 rows"], self.faults(
            self.GOOD.replace(line, "").replace("built | 2", "built | 1")))
        self.assertEqual(["A1: 2 rows"], self.faults(
            self.GOOD.replace(line, line + line).replace("built | 2", "built | 3")))
        self.assertIn("B9: nobody knows this row", self.faults(self.GOOD.replace("A1", "B9")))

    def test_rows_that_are_named_otherwise(self):
        self.assertEqual([], self.faults(self.GOOD, {"A1": "x"}))
        self.assertEqual(["A1: is y, not x"], self.faults(self.GOOD, {"A1": "y", "A2": "x"}))

    def test_every_column_of_tests_counts(self):
        page = Page("", ["A1"])
        text = ("| built | 1 |\n| in part | 1 |\n\n| id | what | block log | RocksDB log |\n"
                "|--|--|--|--|\n"
                "| A1 | x | in part: y<br>`tests/b_test.py: BTest.test_it` | "
                "`tests/a_test.cc: OneTest.Works` |\n")
        self.assertEqual([], faults(text, page, self.FILES.get))
        said = faults(text.replace("test_it", "helper"), page, self.FILES.get)
        self.assertEqual(["A1: tests/b_test.py: BTest.helper: the file has no such test"], said)

    def test_rows_that_claim_too_much(self):
        self.assert_fault("A1: names no test", "`tests/a_test.cc: OneTest.Works`", "of course")
        self.assert_fault("A3: does not say why", "not yet: later", "not yet")
        self.assert_fault("A2: does not say why", "in part: y is missing<br>", "in part ")
        self.assertIn("P1: not yet, and either has tests or needs one", self.faults(
            re.sub(r"\| P1 .*", "| P1 | not yet: later |", self.GOOD)))

    def test_counts(self):
        self.assertEqual(
            ["the page counts {'built': 3, 'in part': 1, 'not yet': 1}, "
             "and has {'built': 2, 'in part': 1, 'not yet': 1}"],
            self.faults(self.GOOD.replace("built | 2", "built | 3")))


class CoverageTest(unittest.TestCase):
    def test_pages(self):
        there = set(source_tree.files())
        texts = {}

        def read(path):
            if path in there and path not in texts:
                texts[path] = source_tree.read(path)
            return texts.get(path)

        said = [f"{page.path}: {fault}" for page in PAGES
                for fault in faults(source_tree.read(page.path), page, read)]
        self.assertEqual([], said, "\n" + "\n".join(said))

    def test_the_lists_are_whole(self):
        self.assertEqual(39 + 8, len(FUNCTIONS))
        self.assertEqual([f"S{i}" for i in range(1, 37)], list(LOSS_TESTS))


if __name__ == "__main__":
    unittest.main()
