"""Published results, quoted beside where they stand; nothing here was measured by this suite."""

# NeurIPS'23 Big-ANN challenge, out-of-distribution track: Text2Image-10M, texts as queries, 8
# virtual CPUs, queries per second at 90% recall@10 of the public queries. All entries of
# neurips23/ongoing_leaderboard/ood/operating_points_public_queries_AzureD8lds_v5.txt in
# harsha-simhadri/big-ann-benchmarks at that commit.
OOD_2023_COMMIT = "b29549d50ab2fae91859b0161e6b0868deac1413"
OOD_2023_TABLE = """
scann           42854 open
pinecone-ood    38088 closed
zilliz          33241 closed
mysteryann      22555 open
mysteryann-dif  22492 open
pyanns          22296 open
sustech-ood     13772 open
puck             8700 open
vamana           6753 open
ngt              6374 open
epsearch         5877 open
diskann          4133 open
cufe             3561 open
"""
OOD_2023 = tuple(
    {"entry": entry, "source": source, "qps": int(qps)}
    for entry, qps, source in (line.split() for line in OOD_2023_TABLE.strip().splitlines())
)
