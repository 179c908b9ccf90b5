//! The names of processor features.

use crate::document::enumerations;

enumerations! {
    /// A processor feature.
    ProcessorFeature since 2.5 {
        Sse3 = "Sse3";
        LahfSahf = "LahfSahf";
        Ssse3 = "Ssse3";
        Sse4_1 = "Sse4_1";
        Sse4_2 = "Sse4_2";
        Sse4A = "Sse4A";
        Xop = "Xop";
        Popcnt = "Popcnt";
        Cmpxchg16B = "Cmpxchg16B";
        Altmovcr8 = "Altmovcr8";
        Lzcnt = "Lzcnt";
        Misalignsse = "Misalignsse";
        MmxExt = "MmxExt";
        Amd3Dnow = "Amd3Dnow";
        ExtAmd3Dnow = "ExtAmd3Dnow";
        Page1Gb = "Page1Gb";
        AmdAes = "AmdAes";
        Pclmulqdq = "Pclmulqdq";
        Pcid = "Pcid";
        Fma4 = "Fma4";
        F16C = "F16C";
        Rdrand = "Rdrand";
        Rdwrfsgs = "Rdwrfsgs";
        Smep = "Smep";
        EnhancedFastString = "EnhancedFastString";
        Bmi1 = "Bmi1";
        Bmi2 = "Bmi2";
        Movbe = "Movbe";
        Npiep1 = "Npiep1";
        DepX87FpuSave = "DepX87FpuSave";
        Rdseed = "Rdseed";
        Adx = "Adx";
        IntelPrefetch = "IntelPrefetch";
        Smap = "Smap";
        Hle = "Hle";
        Rtm = "Rtm";
        Rdtscp = "Rdtscp";
        Clflushopt = "Clflushopt";
        Clwb = "Clwb";
        Sha = "Sha";
        X87PointersSaved = "X87PointersSaved";
        Invpcid = "Invpcid";
        Ibrs = "Ibrs";
        Stibp = "Stibp";
        Ibpb = "Ibpb";
        UnrestrictedGuest = "UnrestrictedGuest";
        Mdd = "Mdd";
        FastShortRepMov = "FastShortRepMov";
        L1DCacheFlush = "L1DCacheFlush";
        RdclNo = "RdclNo";
        IbrsAll = "IbrsAll";
        SkipL1Df = "SkipL1Df";
        SsbNo = "SsbNo";
        RsbaNo = "RsbaNo";
        VirtSpecCtrl = "VirtSpecCtrl";
        Rdpid = "Rdpid";
        Umip = "Umip";
        MbsNo = "MbsNo";
        MbClear = "MbClear";
        TaaNo = "TaaNo";
        TsxCtrl = "TsxCtrl";
        AcountMcount = "AcountMcount";
        TscInvariant = "TscInvariant";
        Clzero = "Clzero";
        Rdpru = "Rdpru";
        La57 = "La57";
        Mbec = "Mbec";
        NestedVirt = "NestedVirt";
        Psfd = "Psfd";
        CetSs = "CetSs";
        CetIbt = "CetIbt";
        VmxExceptionInject = "VmxExceptionInject";
        UmwaitTpause = "UmwaitTpause";
        Movdiri = "Movdiri";
        Movdir64b = "Movdir64b";
        Cldemote = "Cldemote";
        Serialize = "Serialize";
        TscDeadlineTmr = "TscDeadlineTmr";
        TscAdjust = "TscAdjust";
        FZLRepMovsb = "FZLRepMovsb";
        FSRepStosb = "FSRepStosb";
        FSRepCmpsb = "FSRepCmpsb";
        SentinelAmd = "SentinelAmd";
        Asid16 = "Asid16";
        TGran16 = "TGran16";
        TGran64 = "TGran64";
        Haf = "Haf";
        Hdbs = "Hdbs";
        Pan = "Pan";
        AtS1E1 = "AtS1E1";
        Uao = "Uao";
        El0Aarch32 = "El0Aarch32";
        Fp = "Fp";
        FpHp = "FpHp";
        AdvSimd = "AdvSimd";
        AdvSimdHp = "AdvSimdHp";
        GicV3V4 = "GicV3V4";
        PmuV3 = "PmuV3";
        PmuV3ArmV81 = "PmuV3ArmV81";
        PmuV3ArmV84 = "PmuV3ArmV84";
        ArmAes = "ArmAes";
        PolyMul = "PolyMul";
        Sha1 = "Sha1";
        Sha256 = "Sha256";
        Sha512 = "Sha512";
        Crc32 = "Crc32";
        Atomic = "Atomic";
        Rdm = "Rdm";
        Sha3 = "Sha3";
        Sm3 = "Sm3";
        Sm4 = "Sm4";
        Dp = "Dp";
        Fhm = "Fhm";
        DcCvap = "DcCvap";
        DcCvadp = "DcCvadp";
        ApaBase = "ApaBase";
        ApaEp = "ApaEp";
        ApaEp2 = "ApaEp2";
        ApaEp2Fp = "ApaEp2Fp";
        ApaEp2Fpc = "ApaEp2Fpc";
        Jscvt = "Jscvt";
        Fcma = "Fcma";
        RcpcV83 = "RcpcV83";
        RcpcV84 = "RcpcV84";
        Gpa = "Gpa";
        L1ipPipt = "L1ipPipt";
        DzPermitted = "DzPermitted";
        SentinelArm = "SentinelArm";
    }

    /// A processor feature in the XSAVE area.
    XsaveProcessorFeature since 2.5 {
        Xsave = "Xsave";
        XsaveOpt = "Xsave_Opt";
        Avx = "Avx";
        Avx2 = "Avx2";
        Fma = "Fma";
        Mpx = "Mpx";
        Avx512 = "Avx512";
        Avx512Dq = "Avx512Dq";
        Avx512Cd = "Avx512Cd";
        Avx512Bw = "Avx512Bw";
        Avx512Vl = "Avx512Vl";
        XsaveComp = "Xsave_Comp";
        XsaveSupervisor = "Xsave_Supervisor";
        Xcr1 = "Xcr1";
        Avx512Bitalg = "Avx512_Bitalg";
        Avx512Ifma = "AVX512_Ifma";
        Avx512Vbmi = "Avx512_Vbmi";
        Avx512Vbmi2 = "Avx512_Vbmi2";
        Avx512Vnni = "Avx512_Vnni";
        Gfni = "Gfni";
        Vaes = "Vaes";
        Avx512Vpopcntdq = "Avx512_Vpopcntdq";
        Vpclmulqdq = "Vpclmulqdq";
        Avx512Bf16 = "Avx512_Bf16";
        Avx512Vp2Intersect = "Avx512_Vp2Intersect";
        Avx512Fp16 = "Avx512Fp16";
        Xfd = "Xfd";
        AmxTile = "AmxTile";
        AmxBf16 = "AmxBf16";
        AmxInt8 = "AmxInt8";
        AvxVnni = "AvxVnni";
        SentinelAmdXsave = "SentinelAmdXsave";
    }

    /// Whether virtual processors may share a core without the guest knowing.
    NonArchitecturalCoreSharing since 2.5 {
        Unreported = "Unreported";
        Off = "Off";
        On = "On";
    }

    /// Changes to what the hypervisor advises the guest.
    EnlightenmentModifications since 2.5 {
        Unreported = "Unreported";
        FavorAutoEoi = "FavorAutoEoi";
        RsvdZ1 = "RsvdZ1";
    }
}
